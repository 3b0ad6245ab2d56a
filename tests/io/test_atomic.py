"""Outputs are whole or absent, whatever happens to the process that writes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from cryoparts.errors import InputError
from cryoparts.io.atomic import make_folder_atomically, write_atomically, write_text
from cryoparts.io.lock import LOCK, is_locked, locked


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs `code`, from when it says "ready"."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


HOLD = """
    import sys, time
    from pathlib import Path
    from cryoparts.io.lock import locked
    with locked(Path(sys.argv[1])):
        print("ready", flush=True)
        time.sleep(60)
"""
WRITE = """
    import sys, time
    from pathlib import Path
    from cryoparts.io.atomic import make_folder_atomically, write_atomically
    target = Path(sys.argv[1])
    make = make_folder_atomically if target.suffix == "" else write_atomically
    with make(target) as partial:
        (partial / "half").touch() if target.suffix == "" else partial.write_text("half")
        print("ready", flush=True)
        time.sleep(60)
"""


def killed(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> None:
    process.send_signal(number)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_a_failure_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), write_atomically(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a.txt", "folder"])
def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path, name):
    target = tmp_path / name
    killed(started(WRITE, target))
    assert [path.name for path in tmp_path.iterdir()] != []
    assert not target.exists()
    if target.suffix:
        write_text(target, "whole")
    else:
        with make_folder_atomically(target) as partial:
            (partial / "whole").touch()
        assert [path.name for path in target.iterdir()] == ["whole"]
    assert list(tmp_path.iterdir()) == [target]


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    process = started(WRITE, tmp_path / "a.txt")
    write_text(tmp_path / "a.txt", "whole")
    assert len(list(tmp_path.glob(".a.*"))) == 1
    killed(process)


def test_a_folder_is_made_by_one_process(tmp_path):
    process = started(WRITE, tmp_path / "run")
    with (
        pytest.raises(InputError, match=f"process {process.pid} "),
        make_folder_atomically(tmp_path / "run"),
    ):
        pass
    killed(process)
    with make_folder_atomically(tmp_path / "run") as partial:
        assert list(partial.iterdir()) == [partial / LOCK]
    assert list((tmp_path / "run").iterdir()) == []


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path):
    process = started(HOLD, tmp_path)
    assert is_locked(tmp_path)
    with pytest.raises(InputError, match=f"process {process.pid} on .*-c"), locked(tmp_path):
        pass
    killed(process)
    assert not is_locked(tmp_path)
    with locked(tmp_path), locked(tmp_path):  # a step within a step
        pass
    assert not is_locked(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(InputError, match="cannot be written"), locked(tmp_path):
        pass
    tmp_path.chmod(0o755)


def test_no_folder_no_lock(tmp_path: Path):
    assert not is_locked(tmp_path / "absent")
    with pytest.raises(InputError, match="cannot be written"), locked(tmp_path / "absent"):
        pass
