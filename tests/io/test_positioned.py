"""Rows are read where they lie; a file that goes or changes is an error, never the end."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.io.array_file import ArrayFile
from cryoparts.io.mrc import open_stack, write_stack
from cryoparts.io.positioned import FileVersion, read_rows_at

ROWS = np.random.default_rng(0).normal(size=(3000, 4, 5)).astype(np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    np.save(tmp_path / "a.npy", ROWS)
    return tmp_path / "a.npy"


@pytest.mark.parametrize(
    "rows", [[], [0], [2999], [5, 6, 7], [7, 6, 5], [1, 1, 2], [9, 3, 4, 5, 0], list(range(3000))]
)
def test_rows_come_in_the_order_asked_for(file: Path, rows: list[int]) -> None:
    stored = ArrayFile.open(file)
    read = stored.take(np.array(rows, dtype=np.int64))
    np.testing.assert_array_equal(read, ROWS[rows])
    assert read.shape == (len(rows), 4, 5)


@pytest.mark.parametrize("row", [-1, 3000])
def test_a_row_outside_the_array_is_an_error(file: Path, row: int) -> None:
    with pytest.raises(IndexError):
        ArrayFile.open(file).take(np.array([0, row]))


def test_an_array_cut_off_after_it_was_opened_is_an_error_that_names_it(file: Path) -> None:
    stored = ArrayFile.open(file)
    os.truncate(file, 5000)
    with pytest.raises(InputError, match=r"a\.npy: the file changed .* fewer bytes"):
        stored.take(np.array([2990]))
    np.testing.assert_array_equal(stored.take(np.array([2])), ROWS[[2]])
    file.unlink()
    with pytest.raises(InputError, match="went while it was being read"):
        stored.take(np.array([2]))


def test_a_stack_cut_off_after_it_was_opened_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "s.mrcs"
    images = np.ones((64, 32, 32), np.float32)
    write_stack(path, iter([images]), count=64, box_size=32, pixel_size_angstrom=2)
    stack = open_stack(path)
    np.testing.assert_array_equal(stack.read([63, 0]), images[:2])
    os.truncate(path, 30_000)
    with pytest.raises(InputError, match=r"s\.mrcs: the file changed"):
        stack.read([0, 63])


def test_a_file_is_the_same_until_it_is_written_to(file: Path, tmp_path: Path) -> None:
    version = FileVersion.of(file)
    version.require_unchanged()
    state = file.stat()
    file.write_bytes(file.read_bytes())
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1000))
    with pytest.raises(InputError, match="it was written to"):
        version.require_unchanged()
    os.truncate(file, 10)
    with pytest.raises(InputError, match=f"it had {version.size} bytes and has 10"):
        version.require_unchanged()
    file.unlink()
    with pytest.raises(InputError, match="No such file") as caught:
        version.require_unchanged()
    assert "--resume" in caught.value.cure


def test_rows_of_other_byte_order_and_of_no_size(tmp_path: Path) -> None:
    path = tmp_path / "b"
    path.write_bytes(b"head" + ROWS.astype(">f4").tobytes())
    kind = np.dtype(">f4")
    read = read_rows_at(path, np.array([4, 2]), shape=ROWS.shape, dtype=kind, offset=4)
    np.testing.assert_array_equal(read, ROWS[[4, 2]])
    nothing = read_rows_at(path, np.array([1]), shape=(3, 0), dtype=kind, offset=4)
    assert nothing.shape == (1, 0)
