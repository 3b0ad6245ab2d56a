"""From where a part is seen best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    Rows = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True)
class Viewpoint:
    """Two views of one part.

    Parameters
    ----------
    front, side : arrays, shape (3, 3)
        Take (x, y, z) to (right, up, towards the viewer): the part towards the
        viewer, and, a quarter turn about the vertical on, the part to the right.
    """

    front: FloatArray
    side: FloatArray

    @property
    def oblique(self) -> FloatArray:
        """Unit vector (x, y, z) to a viewer who sees the part from half front, half side."""
        towards = self.front[2] * 0.8 + self.side[2] * 0.5 + self.front[1] * 0.35
        unit: FloatArray = towards / np.linalg.norm(towards)
        return unit


def viewpoint_of(part: ArrayLike, rest: ArrayLike) -> Viewpoint:
    """Views of a part (positions (n, 3)) that stands out of the rest (positions (m, 3))."""
    middle = np.asarray(part, dtype=np.float64).mean(axis=0)
    others = np.asarray(rest, dtype=np.float64)
    away = middle - (others.mean(axis=0) if len(others) else 0.0)
    length = float(np.linalg.norm(away))
    near = away / length if length > 1e-6 else np.array([0.0, 0.0, 1.0])
    # of the axes, the one farthest from the line of sight stays upright, z before y
    upright = np.array([0.0, 0.0, 1.0]) if abs(near[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
    up = upright - (upright @ near) * near
    up /= np.linalg.norm(up)
    right = np.cross(up, near)
    return Viewpoint(np.stack([right, up, near]), np.stack([near, up, -right]))


AXIS_VIEWS: tuple[tuple[tuple[str, Rows], tuple[str, Rows]], ...] = (
    (("+z", ((1, 0, 0), (0, 1, 0), (0, 0, 1))), ("−z", ((-1, 0, 0), (0, 1, 0), (0, 0, -1)))),
    (("−y", ((1, 0, 0), (0, 0, 1), (0, -1, 0))), ("+y", ((-1, 0, 0), (0, 0, 1), (0, 1, 0)))),
    (("+x", ((0, 1, 0), (0, 0, 1), (1, 0, 0))), ("−x", ((0, -1, 0), (0, 0, 1), (-1, 0, 0)))),
)
"""For each axis the two views along it: name, and rows right, up, towards the viewer."""


def facing_views(positions: ArrayLike, labels: ArrayLike) -> list[tuple[str, FloatArray]]:
    """One view along each axis, from that side on which more of the parts lie."""
    xyz = np.asarray(positions, dtype=np.float64)
    parts = np.asarray(labels) > 0
    lean = xyz[parts].mean(axis=0) - xyz.mean(axis=0) if parts.any() else np.zeros(3)
    chosen = []
    for first, second in AXIS_VIEWS:
        name, rows = first if lean @ np.array(first[1][2]) >= 0 else second
        chosen.append((name, np.array(rows, dtype=np.float64)))
    return chosen
