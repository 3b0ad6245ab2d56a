"""Pickles of arrays of every protocol and byte order; everything else is refused."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.io.pickles import read_arrays

ARRAY = np.random.default_rng(0).normal(size=(4, 3, 2))


def written(path: Path, content: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", ["<f8", ">f4", "<f2", "<i4", ">i8", "u1"])
@pytest.mark.parametrize("order", ["C", "F", "A"])
def test_arrays_are_read_as_written(tmp_path, protocol, kind, order):
    array = np.asarray(10 * ARRAY).astype(kind)
    array = np.asfortranarray(array) if order == "F" else array
    array = array.transpose(1, 0, 2) if order == "A" else array
    path = written(tmp_path / "a.pkl", (array, array[:, 0]), protocol)
    one, other = read_arrays(path, "cure")
    np.testing.assert_array_equal(one, array)
    np.testing.assert_array_equal(other, array[:, 0])
    assert one.dtype == array.dtype


def test_an_array_alone_and_a_list(tmp_path):
    (alone,) = read_arrays(written(tmp_path / "a.pkl", ARRAY), "cure")
    np.testing.assert_array_equal(alone, ARRAY)
    assert len(read_arrays(written(tmp_path / "b.pkl", [ARRAY, ARRAY]), "cure")) == 2


@pytest.mark.parametrize(
    "content",
    [
        np.array(["2020-01-01"], dtype="M8[D]"), np.array([1], dtype="m8[s]"), np.array(["a"]),
        np.array([None]), np.array([1j]), np.zeros(2, dtype=[("a", "f4")]), {"a": ARRAY}, "text",
        [1, 2], np.dtype("f8"), ARRAY.astype(bool), print, np.ndarray, np.ma.array([1.0]),
    ],
    ids=str,
)  # fmt: skip
def test_anything_else_is_refused(tmp_path, content):
    with pytest.raises(InputError):
        read_arrays(written(tmp_path / "a.pkl", content), "cure")


def test_a_date_with_too_little_state_does_not_end_the_process(tmp_path):
    damaged = pickle.dumps(ARRAY, protocol=4).replace(b"\x8c\x02f8", b"\x8c\x02m8")
    (tmp_path / "a.pkl").write_bytes(damaged)
    with pytest.raises(InputError, match="an array of m8"):
        read_arrays(tmp_path / "a.pkl", "cure")
