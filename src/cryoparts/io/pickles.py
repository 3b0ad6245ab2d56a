"""Pickles of numpy arrays, read without running what else a pickle may hold."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.files import reading

if TYPE_CHECKING:
    from pathlib import Path

ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
    ("_codecs", "encode"),
}
"""What pickles of arrays name; anything else, which could run code, is refused."""


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}; only numpy arrays are read")
        return super().find_class(module, name)


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
    arrays = content if isinstance(content, tuple | list) else (content,)
    for array in arrays:
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            raise InputError(
                str(path), f"it must hold arrays of numbers, it holds {type(array).__name__}", cure
            )
    return tuple(arrays)
