"""Help: verbs in the order of the work, the options that matter first, no doubled negatives."""

from __future__ import annotations

import re
import subprocess

import pytest

from cryoparts.cli.help import MAIN
from cryoparts.cli.main import COMMANDS, KINDS, main

BELOW = [("simulate", kind) for kind in ("composition", "motion", "both", "maps")]
BELOW += [("benchmark", kind) for kind in ("composition", "motion", "both", "assembly")]
EVERY = [*((verb,) for verb in COMMANDS if verb not in KINDS), *BELOW]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")


def said(capsys, *arguments: str) -> str:
    main(list(arguments))
    return capsys.readouterr().out


def test_verbs_stand_in_the_order_of_the_work(capsys):
    text = said(capsys, "--help")
    shown = re.findall(r"^│ ([a-z][a-z-]+) ", text, flags=re.MULTILINE)
    assert shown == list(COMMANDS)
    assert shown.index("check") < shown.index("run") < shown.index("parts")
    assert shown.index("focus") < shown.index("reconstruct") < shown.index("report")


def test_help_of_run_is_grouped_and_ends_with_two_examples(capsys):
    text = said(capsys, "run", "--help")
    panels = re.findall(r"^╭─ ([A-Z][\w ]+) ─", text, flags=re.MULTILINE)
    assert panels == ["Input", "Model", "Training", "Parts and states", "Output"]
    assert text.count("\n  cryoparts run ") == 2
    assert "--help-all" in text


def test_help_of_a_verb_says_what_it_writes(capsys):
    assert "composition/occupancies.csv" in said(capsys, "composition", "--help")
    assert "motion/motions.json" in said(capsys, "motion", "--help")
    text = said(capsys, "--help")
    assert "Presence of each part in each particle" in text
    assert "Particles with ground truth" in text
    assert "(particles in each state of focus/" in said(capsys, "composition", "--help")


@pytest.mark.parametrize("verb", ["run", "train"])
def test_help_all_has_every_option_and_help_the_main_ones(capsys, verb):
    brief = set(OPTION.findall(said(capsys, verb, "--help")))
    whole = set(OPTION.findall(said(capsys, verb, "--help-all")))
    assert brief < whole
    assert len(whole - brief) > 15
    assert {"--transpose-poses", "--learning-rate", "--mask-edge-pixels"} <= whole - brief


def test_main_options_are_options_of_run(capsys):
    assert set(OPTION.findall(said(capsys, "run", "--help-all"))) >= MAIN


@pytest.mark.parametrize("command", EVERY, ids="-".join)
def test_nothing_is_negated_twice_or_emptied(capsys, command):
    options = set(OPTION.findall(said(capsys, *command, "--help-all")))
    doubled = re.compile(r"--(empty-|no-(without|no|not|skip|invert|as|transpose|mirror)(-|$))")
    assert [option for option in options if doubled.match(option)] == []


def test_what_is_on_by_default_can_be_turned_off(capsys):
    text = said(capsys, "run", "--help-all")
    assert "--no-normalise" in text
    assert "--no-refine-poses" in text
    assert "--no-refine" in said(capsys, "motion", "--help")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_verbs_and_options(capsys, shell):
    script = said(capsys, "--show-completion", shell)
    for word in ("reconstruct", "edit-parts", "max-resolution"):
        assert word in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_a_shell_that_is_not_known_is_asked_for(capsys, monkeypatch):
    from cyclopts.completion.detect import ShellDetectionError

    def unknown(*_: object, **__: object):
        raise ShellDetectionError

    monkeypatch.setattr("cyclopts.App.generate_completion", unknown)
    with pytest.raises(SystemExit) as ended:
        main(["--show-completion"])
    assert ended.value.code == 2
    assert "Name it" in capsys.readouterr().err


def test_flags_for_every_verb_may_stand_anywhere(capsys, tmp_path):
    for arguments in (["-q", "columns", str(tmp_path)], ["columns", str(tmp_path), "--quiet"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "not a run folder" in capsys.readouterr().err
