"""Numbers on their way to the page."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.responses import Response

if TYPE_CHECKING:
    from numpy.typing import NDArray


def numbers(values: NDArray[Any]) -> Response:
    """Numbers as the page's programs read them: float32, little-endian, row by row."""
    return Response(
        np.ascontiguousarray(values, "<f4").tobytes(), media_type="application/octet-stream"
    )


def coded_numbers(values: NDArray[Any]) -> str:
    """The same in base64, to stand among other things in JSON."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def coded_mask(chosen: NDArray[np.bool_]) -> str:
    """A mask (P,) as bits in base64: 22 kB for 131,899 particles."""
    return base64.b64encode(np.packbits(chosen, bitorder="little").tobytes()).decode()
