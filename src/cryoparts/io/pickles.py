"""Pickles of numpy arrays, read without running what else a pickle may hold.

A pickle names functions and calls them. Here the few names that pickles of arrays hold mean
stand-ins of our own, and no other name means anything: not even numpy's own functions are
called, which take what a damaged pickle hands them (a date as the type of an array, with
less state than dates have, ended the process).
"""

from __future__ import annotations

import codecs
import pickle
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.files import reading

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

NUMBERS = re.compile(r"[fiu][1248]|b1")
"""Types of arrays that are read, as pickles name them."""


class _Dtype:
    """The type of an array: plain numbers, of either byte order."""

    def __init__(self, code: str, *_: object) -> None:
        if not NUMBERS.fullmatch(code):
            raise pickle.UnpicklingError(f"it holds an array of {code}; only numbers are read")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] not in ("<", ">", "|", "="):
            raise pickle.UnpicklingError(f"it holds numbers of byte order {state[1]!r}")
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """An array on its way: `values` once its state has come."""

    def __init__(self, *_: object) -> None:
        self.values: NDArray[Any] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, raw = state
        if isinstance(raw, str):  # written by Python 2
            raw = raw.encode("latin1")
        self.values = _of_bytes(raw, kind, shape, "F" if fortran else "C").values


def _of_bytes(
    raw: bytes, kind: _Dtype, shape: tuple[int, ...], order: str = "C", axes: Any = None
) -> _Array:
    """As numpy's `_frombuffer`, which arrays of protocol 5 are made by."""
    if not isinstance(raw, bytes | bytearray | pickle.PickleBuffer) or not isinstance(kind, _Dtype):
        raise pickle.UnpicklingError("it holds an array of objects; only numbers are read")
    made = _Array()
    flat = np.frombuffer(raw, dtype=kind.dtype)
    values = flat.reshape(shape, order="F" if order == "F" else "C")
    made.values = (values if axes is None else values.transpose(axes)).copy()
    return made


def _scalar(kind: _Dtype, raw: bytes) -> _Array:
    return _of_bytes(raw, kind, ())


STAND_INS: dict[str, Any] = {
    "dtype": _Dtype,
    "_reconstruct": _Array,
    "ndarray": None,  # named as the kind of array to make, not called
    "scalar": _scalar,
    "_frombuffer": _of_bytes,
}
MODULES = {
    "numpy": ("dtype", "ndarray"),
    "numpy.core.multiarray": ("_reconstruct", "scalar"),
    "numpy._core.multiarray": ("_reconstruct", "scalar"),
    "numpy.core.numeric": ("_frombuffer",),
    "numpy._core.numeric": ("_frombuffer",),
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):  # bytes in pickles of protocol 2
            return codecs.encode
        if name not in MODULES.get(module, ()):
            raise pickle.UnpicklingError(f"it holds {module}.{name}; only numpy arrays are read")
        return STAND_INS[name]


def read_arrays(path: Path, cure: str) -> tuple[np.ndarray[Any, Any], ...]:
    """The arrays of a pickle that holds one array or a tuple or list of them.

    Raises
    ------
    InputError
        If the file is absent, no pickle, or holds anything but numeric arrays.
    """
    with reading(path, "a pickle of arrays", cure), path.open("rb") as stream:
        try:
            content = _ArrayUnpickler(stream).load()
        except pickle.UnpicklingError as fault:
            raise ValueError(fault) from fault
    found = content if isinstance(content, tuple | list) else (content,)
    arrays = []
    for one in found:
        array = one.values if isinstance(one, _Array) else one
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            raise InputError(
                str(path), f"it must hold arrays of numbers, it holds {type(array).__name__}", cure
            )
        arrays.append(array)
    return tuple(arrays)
