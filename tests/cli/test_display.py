"""The line of the work: what goes on, how far, how long; nothing else writes into it."""

from __future__ import annotations

import re
import time
from io import StringIO

import pytest
from rich.console import Console

from cryoparts.cli import console
from cryoparts.cli.display import Display, Work

SENTENCE = "found 3 parts"


def terminal() -> Console:
    return Console(file=StringIO(), force_terminal=True, width=100, legacy_windows=False)


def written(on: Console) -> str:
    assert isinstance(on.file, StringIO)
    return on.file.getvalue()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


@pytest.mark.parametrize(
    ("work", "passed", "told"),
    [
        (Work("decoding", 250, 1000, started=0.0), 60, "about 3 min left"),
        (Work("training", 250, 1000, whole=4.0, started=0.0), 60, "about 15 min left"),
        (Work("embedding", started=0.0), 47, "47 s so far"),
        (Work("decoding", 1000, 1000, started=0.0), 5, "5 s so far"),
        (Work("decoding", 1, 1000, started=0.0), 1, ""),
    ],
)
def test_time_left_follows_from_what_is_done(work, passed, told):
    assert work.left(passed) == told
    assert work.line(passed).startswith(work.what)


def test_a_log_has_a_line_now_and_then():
    log = Console(file=StringIO(), width=100)
    display = Display(log, line_every=0.05)
    with display.shown("starting"):
        display.stage(2, 10)
        display.tell("embedding")
        time.sleep(0.25)
        display.tell("decoding", 1200, 3000)
        time.sleep(0.25)
    lines = written(log).splitlines()
    assert "2/10 embedding, 0 s so far" in lines
    assert "2/10 decoding, 1,200 of 3,000" in lines
    assert len(lines) < 12
    time.sleep(0.1)
    assert len(written(log).splitlines()) == len(lines), "it ends with the work"


def test_silence_is_broken_on_a_terminal_though_no_step_tells_anything():
    live = terminal()
    with Display(live).shown("embedding"):
        time.sleep(0.2)
        before = len(written(live))
        time.sleep(1.2)
        assert len(written(live)) > before
    assert "embedding" in written(live)


def test_blocks_lie_in_each_other_and_the_last_takes_the_line_away():
    display = Display(terminal())
    display.tell("nobody looks")
    assert not display.is_live
    with display.shown("run"):
        with display.shown("training"):
            assert display.is_live
        assert display.is_live
        assert display.timing().endswith("so far")
    assert not display.is_live
    assert display.timing() == ""


@pytest.fixture
def one_terminal(monkeypatch):
    """Standard output and standard error on one terminal."""
    shared = StringIO()
    for name in ("OUT", "ERROR"):
        made = Console(file=shared, force_terminal=True, width=100, legacy_windows=False)
        monkeypatch.setattr(console, name, made)
    monkeypatch.setattr(console, "DISPLAY", Display(console.ERROR))
    return shared


def test_sentences_tables_and_warnings_stand_on_lines_of_their_own(one_terminal):
    with console.show_warnings(), console.progress_bars("decoding") as progress:
        for done in range(1, 6):
            progress("decoding", done, 10)
            console.say(f"{SENTENCE} ({done})")
            console.warn("few particles")
            console.table("Parts", ["", "mass"], [["part_1", "3%"]])
            time.sleep(0.05)
    lines = re.split(r"[\r\n]+", plain(one_terminal.getvalue()))
    said = [line for line in lines if SENTENCE in line or "few particles" in line]
    assert len(said) == 10
    assert all(line.startswith(("found", "warning")) for line in said)
    assert all("decoding" not in line for line in said)
    assert not any("decoding" in line and "part_1" in line for line in lines)


def test_what_is_said_goes_into_a_pipe_though_the_line_is_on_the_terminal(monkeypatch):
    out = Console(file=StringIO(), width=100)
    monkeypatch.setattr(console, "OUT", out)
    monkeypatch.setattr(console, "ERROR", terminal())
    monkeypatch.setattr(console, "DISPLAY", Display(console.ERROR))
    with console.progress_bars("decoding"):
        console.say(SENTENCE)
    assert written(out) == f"{SENTENCE}\n"
    assert SENTENCE not in written(console.ERROR)


def test_quiet_leaves_warnings_and_errors(capsys):
    with console.loudness(quiet=True, verbose=False), console.show_warnings():
        console.say(SENTENCE)
        console.table("Parts", ["", "mass"], [["part_1", "3%"]])
        console.warn("few particles")
        console.say_error("a.star: is no STAR file", "Give another.")
    said = capsys.readouterr()
    assert said.out == ""
    assert "few particles" in said.err
    assert "is no STAR file" in said.err
    console.say(SENTENCE)
    assert capsys.readouterr().out == f"{SENTENCE}\n"


def test_verbose_tells_what_modules_tell(capsys):
    import logging

    module = logging.getLogger("cryoparts.io.derived")
    for verbose in (False, True):
        with console.loudness(quiet=False, verbose=verbose):
            module.info("computed again: noise.npz")
            console.say(SENTENCE)
        said = capsys.readouterr().out
        assert ("computed again" in said) is verbose
        assert said.count(SENTENCE) == 1


def test_an_epoch_tells_how_long_all_epochs_take(monkeypatch):
    told = []
    monkeypatch.setattr(console.DISPLAY, "tell", lambda *given: told.append(given))
    training = console.TrainingProgress(8)
    training.step(1, 500, 1000, 0.5, 120.0)
    training.step(1, 1000, 1000, 0.5, 120.0)
    assert told[0] == ("training, epoch 1 of 8", 500, 1000, "loss 0.5000, 120 particles/s", 8.0)
    assert told[1][0].endswith("held-out particles")
