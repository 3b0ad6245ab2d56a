"""Reads mutated files one after the other and prints what became of each, a line each.

    python fuzz_worker.py READER FOLDER FIRST COUNT

A process of its own, so that a crash, a hang or a greedy allocation is seen and named.
"""

from __future__ import annotations

import json
import resource
import shutil
import signal
import sys
import traceback
import warnings
from pathlib import Path

import numpy as np

from cryoparts.errors import InputError
from fuzz_mutations import MISPLACED, misplace, mutated
from fuzz_readers import READERS

SECONDS = 10
MEMORY = 2**30  # bytes beyond what the process has before it reads


class _HangError(BaseException):
    pass


def _too_long(*_: object) -> None:
    raise _HangError


def outcome(reader, path: Path) -> tuple[str, str]:
    """What a reading comes to: read, refused, or one of the failures."""
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        content = reader.read(path)
        reader.check(content)
    except InputError as refused:
        if not (refused.problem and refused.cure):
            return "unclear", str(refused)
        return "refused", str(refused)
    except AssertionError:
        return "absurd", traceback.format_exc(limit=-1)
    except _HangError:
        return "hang", f"longer than {SECONDS} s"
    except BaseException as fault:  # noqa: BLE001
        return "traceback", f"{type(fault).__name__}: {fault} | " + " < ".join(
            f"{Path(f.filename).name}:{f.lineno}" for f in traceback.extract_tb(fault.__traceback__)
        )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "read", ""


def main(name: str, folder: Path, first: int, count: int) -> None:
    """Mutations FIRST to FIRST + COUNT - 1 of a reader; the first few are no such file at all."""
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, _too_long)
    reader = READERS[name]
    valid = folder / "valid"
    valid.mkdir(parents=True)
    path = reader.make(valid)
    assert outcome(reader, path)[0] == "read", outcome(reader, path)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for number in range(first, first + count):
        random = np.random.default_rng(number)
        files = [path / name for name in reader.files if (path / name).exists()] or [path]
        file = files[number % len(files)]
        content = file.read_bytes()
        print(json.dumps({"number": number}), flush=True)  # so that a crash has a number
        if number < MISPLACED * len(files):
            what = misplace(file, number // len(files))
        else:
            file.write_bytes(mutated(content, random))
            what = "mutated"
        result, why = outcome(reader, path)
        told = {"number": number, "result": result, "why": why, "what": f"{file.name}: {what}"}
        print(json.dumps(told), flush=True)
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file)
        else:
            file.unlink(missing_ok=True)
        file.write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
