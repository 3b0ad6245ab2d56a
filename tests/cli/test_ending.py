"""A command that is stopped says what is kept and how to go on; no traceback, no half a file."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from numba.core.compiler_lock import global_compiler_lock

from cryoparts.cli.ending import AGAIN_SECONDS, TerminatedError, told_to_stop
from cryoparts.cli.main import main


def ended(arguments, monkeypatch, fault) -> int:
    def fail(*_: object, **__: object):
        raise fault

    monkeypatch.setattr("cyclopts.App.parse_args", fail)
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return int(stopped.value.code)


@pytest.mark.parametrize(
    ("made", "kept", "how"),
    [
        ([], "nothing was written", "begins this step again"),
        ([""], "keeps the model", "--resume goes on"),
        (["checkpoints/epoch_0007.json"], "up to epoch 7", "--resume goes on"),
    ],
)
def test_an_interrupted_run_says_what_is_kept(tmp_path, monkeypatch, capsys, made, kept, how):
    run = tmp_path / "run"
    for name in made:
        path = run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True) if name == "" else path.touch()
    command = ["run", "p.star", "--model", "m.mrc", "-o", str(run)]
    assert ended(command, monkeypatch, KeyboardInterrupt()) == 130
    said = capsys.readouterr().err.replace("\n", " ")
    assert "interrupted" in said
    assert kept in said
    assert how in said


def test_other_verbs_leave_what_was_there(monkeypatch, capsys):
    assert ended(["focus", "RUN"], monkeypatch, KeyboardInterrupt()) == 130
    assert "what earlier steps wrote is as it was" in capsys.readouterr().err


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_disk_that_fails_is_named_with_a_cure(monkeypatch, capsys, number):
    fault = OSError(number, os.strerror(number), "RUN/latent.npy")
    assert ended(["parts", "RUN"], monkeypatch, fault) == 1
    said = capsys.readouterr().err
    assert "RUN/latent.npy" in said
    assert os.strerror(number).lower() in said.lower()


def test_a_fault_of_the_program_is_not_hidden(monkeypatch):
    def fail(*_: object, **__: object):
        raise OSError(errno.EBADF, "bad file descriptor")

    monkeypatch.setattr("cyclopts.App.parse_args", fail)
    with pytest.raises(OSError, match="bad file"):
        main(["parts", "RUN"])


def test_a_process_that_is_told_to_stop_ends_with_143(tmp_path: Path):
    code = (
        "import time, cyclopts\n"
        "def wait(*_, **__):\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
        "cyclopts.App.parse_args = wait\n"
        "from cryoparts.cli.main import main\n"
        "main(['train', 'p.star', '--model', 'm.mrc', '-o', 'run'])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate()
    assert process.returncode == 143
    assert "told to stop; nothing was written yet to run" in said
    assert "Traceback" not in said


def test_an_error_is_said_once(tmp_path: Path):
    call = "from cryoparts.cli.main import main; main(['parts', 'nowhere'])"
    ended = subprocess.run(
        [sys.executable, "-c", call], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert ended.stderr.count("nowhere") == 1
    assert len(ended.stderr.splitlines()) == 2


def test_a_signal_that_a_librarys_callback_swallows_is_given_again() -> None:
    at = ctypes.CFUNCTYPE(None)(lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(TerminatedError), told_to_stop():
        at()
        time.sleep(10)


@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGTERM, TerminatedError), (signal.SIGINT, KeyboardInterrupt)],
)
def test_a_kernel_is_compiled_to_its_end_before_a_signal_counts(number, raised) -> None:
    compiled = False
    with pytest.raises(raised), told_to_stop():
        with global_compiler_lock:
            signal.raise_signal(number)
            time.sleep(3 * AGAIN_SECONDS)
            compiled = True
        time.sleep(10)
    assert compiled
