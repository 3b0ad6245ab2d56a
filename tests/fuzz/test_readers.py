"""Mutated files: read rightly or refused with one clear error; never a traceback or a hang.

500 a reader here; `make fuzz` reads 10,000 of each (CRYOPARTS_FUZZ).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fuzz_readers import READERS

COUNT = int(os.environ.get("CRYOPARTS_FUZZ", "500"))
SUPPORT = Path(__file__).parents[1] / "support"


def results(reader: str, folder: Path, count: int) -> list[dict[str, object]]:
    """What became of every mutation; a worker that crashes is started anew behind the crash."""
    found: list[dict[str, object]] = []
    first = 0
    while first < count:
        done = subprocess.run(
            [sys.executable, str(SUPPORT / "fuzz_worker.py"), reader,
             str(folder / str(first)), str(first), str(count - first)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines, done.stderr
        found += [line for line in lines if "result" in line]
        if done.returncode == 0:
            break
        last = lines[-1]["number"]
        if "result" not in lines[-1]:
            found.append({"number": last, "result": "crash", "why": done.stderr[-300:]})
        first = last + 1
    return found


@pytest.mark.parametrize("reader", READERS)
def test_every_mutated_file_is_read_or_refused(reader, tmp_path):
    found = results(reader, tmp_path, COUNT)
    assert len(found) == COUNT
    counts = Counter(str(one["result"]) for one in found)
    print(reader, dict(counts))
    failures = [one for one in found if one["result"] not in ("read", "refused")]
    assert not failures, f"{dict(counts)}; the first: {failures[:5]}"
    assert counts["refused"] > COUNT / 10
