from __future__ import annotations

import numpy as np
import pytest

from cryoparts.io.array_file import ArrayFile


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_rows_are_the_array_s_own(tmp_path, dtype):
    array = np.random.default_rng(0).normal(size=(7, 3, 2)).astype(dtype)
    np.save(tmp_path / "a.npy", array)
    stored = ArrayFile.open(tmp_path / "a.npy")
    assert (len(stored), stored.shape, stored.dtype) == (7, (7, 3, 2), dtype)
    for rows in ([], [6], [3, 0, 3]):
        np.testing.assert_array_equal(stored.take(np.array(rows, dtype=int)), array[rows])


def test_rows_are_copies(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2), dtype=np.float32))
    stored = ArrayFile.open(tmp_path / "a.npy")
    stored.take(np.array([0]))[:] = 1
    assert not stored.take(np.array([0])).any()


def test_a_row_that_is_not_there_is_an_error(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 2), dtype=np.float32))
    with pytest.raises(IndexError):
        ArrayFile.open(tmp_path / "a.npy").take(np.array([2]))


def test_a_file_cut_off_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((200, 2), dtype=np.float32))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[:-8])
    with pytest.raises(ValueError, match="greater than file size"):
        ArrayFile.open(tmp_path / "a.npy")
