from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryoparts.inference import kept_offsets
from cryoparts.inference.kept_offsets import STEP, KeptOffsets

COUNT = 2 * STEP + 5
NUMBERS = np.random.default_rng(0).normal(size=(COUNT, 7, 4)).astype(np.float32)


@pytest.fixture
def kept(tmp_path):
    made = KeptOffsets(tmp_path, NUMBERS.shape)
    yield made
    made.close()


def rows(first: int, behind: int) -> np.ndarray:
    return np.arange(first, behind)


def test_what_was_written_is_read_again_and_leaves_nothing_behind(kept, tmp_path):
    everyone = rows(0, COUNT)
    assert kept.read(everyone) is None
    assert not kept.is_complete
    for first in range(0, COUNT, STEP):
        some = everyone[first : first + STEP]
        kept.write(some, NUMBERS[some])
    assert kept.is_complete
    for some in (everyone, rows(STEP, 2 * STEP), rows(2 * STEP, COUNT)):
        np.testing.assert_array_equal(kept.read(some), NUMBERS[some])
    assert list(tmp_path.iterdir()) == []  # the file has no name
    kept.close()
    assert kept.read(everyone) is None
    assert not kept.is_complete


@given(st.integers(0, COUNT - 1), st.integers(1, COUNT))
def test_only_stretches_are_kept_that_whoever_asks_decodes_alike(tmp_path_factory, first, count):
    some = rows(first, min(first + count, COUNT))
    kept = KeptOffsets(tmp_path_factory.mktemp("kept"), NUMBERS.shape)
    kept.write(some, NUMBERS[some])
    alike = first % STEP == 0 and (some[-1] + 1 in (STEP, 2 * STEP, COUNT))
    assert (kept.read(some) is not None) == alike
    kept.close()


def test_particles_out_of_order_are_not_kept(kept):
    mixed = rows(0, STEP)[::-1].copy()
    kept.write(mixed, NUMBERS[mixed])
    assert kept.read(rows(0, STEP)) is None
    kept.write(rows(0, 0), NUMBERS[:0])
    assert kept.read(rows(0, 0)) is None


def test_another_process_reads_and_writes_the_same_file(kept, tmp_path):
    kept.write(rows(0, STEP), NUMBERS[:STEP])
    (tmp_path / "sent").write_bytes(pickle.dumps(kept))
    (tmp_path / "try.py").write_text(
        "import pickle, sys\n"
        "import numpy as np\n"
        "kept = pickle.loads(open(sys.argv[1], 'rb').read())\n"
        f"first = np.arange({STEP})\n"
        f"kept.write(first + {STEP}, kept.read(first) * 2)\n"
    )
    subprocess.run([sys.executable, tmp_path / "try.py", tmp_path / "sent"], check=True)
    np.testing.assert_array_equal(kept.read(rows(STEP, 2 * STEP)), 2 * NUMBERS[:STEP])


def test_a_file_that_is_not_the_right_one_is_not_taken(kept, tmp_path):
    kept.write(rows(0, STEP), NUMBERS[:STEP])
    sent = kept.__getstate__()
    other = tmp_path / "other"
    other.write_bytes(bytes([1]) * 10_000)
    for path in (other, tmp_path / "none"):
        copy = KeptOffsets.__new__(KeptOffsets)
        copy.__setstate__(sent | {"path": str(path)})
        assert copy.read(rows(0, STEP)) is None
        copy.write(rows(0, STEP), NUMBERS[:STEP])
    assert other.read_bytes() == bytes([1]) * 10_000


def test_what_is_too_large_or_has_no_place_is_not_kept(tmp_path, monkeypatch):
    assert KeptOffsets.where_there_is_room(tmp_path / "none", NUMBERS.shape) is None
    monkeypatch.setattr(kept_offsets, "MOST_BYTES", NUMBERS.nbytes - 1)
    assert KeptOffsets.where_there_is_room(tmp_path, NUMBERS.shape) is None
    monkeypatch.setattr(kept_offsets, "MOST_BYTES", NUMBERS.nbytes)
    made = KeptOffsets.where_there_is_room(tmp_path, NUMBERS.shape)
    assert made is not None
    made.close()


def test_a_disk_that_is_full_ends_it(kept, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(kept_offsets.os, "pwrite", full)
    kept.write(rows(0, STEP), NUMBERS[:STEP])
    monkeypatch.undo()
    kept.write(rows(0, STEP), NUMBERS[:STEP])
    assert kept.read(rows(0, STEP)) is None
