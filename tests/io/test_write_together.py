"""Files that belong together: all old or all new, whatever becomes of the process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cryoparts.io.atomic import write_together

OLD = {"a.txt": "old", "b.txt": "old", "list.csv": "old", "sub/gone.txt": "old", "other": "kept"}
NEW = {"a.txt": "new", "c.txt": "new", "list.csv": "new"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "step", OLD)
    return tmp_path / "step"


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def content(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_new_files_take_the_place_of_the_old(folder: Path) -> None:
    with write_together(folder, last="list.csv", replaces=("b.*", "sub/*")) as new:
        write(new, NEW)
        assert {k: v for k, v in content(folder).items() if k in OLD} == OLD  # until the end
    assert content(folder) == NEW | {"other": "kept"}
    assert not (folder / "sub").exists()


def test_a_failure_leaves_the_old(folder: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="full"),
        write_together(folder, last="list.csv", replaces=("b.*",)) as new,
    ):
        write(new, NEW)
        raise OSError("full")
    assert content(folder) == OLD
    with (
        pytest.raises(OSError, match="full"),
        write_together(tmp_path / "none", last="list.csv"),
    ):
        raise OSError("full")
    assert not (tmp_path / "none").exists()


def test_the_file_that_says_that_all_is_there_must_be_written(folder: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"list\.csv was not written"),
        write_together(folder, last="list.csv") as new,
    ):
        write(new, {"a.txt": "new"})
    assert content(folder) == OLD


def test_what_a_killed_process_left_goes(folder: Path) -> None:
    write(folder / ".new.partial", {"a.txt": "half", "z.txt": "half"})
    with write_together(folder, last="list.csv") as new:
        write(new, NEW)
    assert content(folder) == OLD | NEW


KILLED = """
import os, signal, sys
from pathlib import Path
from cryoparts.io.atomic import write_together
folder, moment = Path(sys.argv[1]), int(sys.argv[2])
calls = 0
def counted(function):
    def call(self, *arguments, **options):
        global calls
        if calls == moment:
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1
        return function(self, *arguments, **options)
    return call
with write_together(folder, last="list.csv", replaces=("b.*", "sub/*")) as new:
    for name in ("a.txt", "c.txt", "list.csv"):
        (new / name).write_text("new")
    for name in ("unlink", "rename", "rmdir"):
        setattr(Path, name, counted(getattr(Path, name)))
"""


def test_a_kill_between_any_two_steps_leaves_no_mixture(folder: Path) -> None:
    replaced = {"a.txt", "b.txt", "c.txt", "list.csv", "sub/gone.txt"}
    for moment in range(30):
        for path in folder.rglob("*.*"):
            if path.is_file():
                path.unlink()
        write(folder, OLD)
        command = [sys.executable, "-c", KILLED, str(folder), str(moment)]
        done = subprocess.run(command, env=os.environ, check=False)
        left = content(folder)
        found = {name: text for name, text in left.items() if name in replaced}
        assert len(set(found.values())) <= 1, (moment, found)
        if "list.csv" in found:  # whole
            whole = OLD if found["list.csv"] == "old" else NEW
            assert found == {k: v for k, v in whole.items() if k in replaced}
        assert left["other"] == "kept"
        if done.returncode == 0:
            assert moment > 6
            return
        assert done.returncode == -signal.SIGKILL
    raise AssertionError("never came to its end")
