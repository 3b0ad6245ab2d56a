"""The Gaussian model as a surface coloured by part, whose parts a page can move."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from cryoparts.figures.compact_volumes import coded, packed
from cryoparts.palette import part_colour, part_title

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.parts.part_labels import PartLabels

    FloatArray = NDArray[np.float64]

MOST_VOXELS = 300_000
VOXELS_A_SPACING = 2.2
"""Voxels from one Gaussian to the next: enough for a smooth surface."""

BLUR_IN_SPACINGS = 0.6
"""Width of the balls that make the surface: neighbours run together, gaps stay open."""

LEVEL_SHARE = 0.35
"""Of the density at the Gaussians: where the surface lies."""


def molecule_json(
    model: GaussianModel,
    labels: NDArray[np.int64],
    parts: PartLabels | None,
    motions: Mapping[int, dict[str, Any]],
) -> str:
    """Density of the model, the part that owns each voxel, and how the parts move.

    Parameters
    ----------
    model : GaussianModel
    labels : int array, shape (N,)
        -1 unassigned, 0 core, 1 ... parts.
    parts : PartLabels or None
        For the names.
    motions : mapping
        Entries of motions.json.
    """
    positions = model.positions.astype(np.float64)
    shown = [int(v) for v in np.unique(labels)]
    shown = [v for v in shown if v > 0] + [v for v in (0, -1) if v in shown]
    origin, voxel, size = _grid(positions)
    density, owner = _owned_density(positions, labels, shown, origin, voxel, size)
    at = _voxels(positions, origin, voxel)
    level = LEVEL_SHARE * float(np.median(density[tuple(at[:, ::-1].T)]))
    named = {label: "" if parts is None else parts.name(label) for label in shown}
    content = {
        "kind": "molecule",
        "frame": {
            "size": [int(n) for n in size],
            "origin": [round(float(v), 3) for v in origin],
            "voxel": round(voxel, 5),
        },
        "level": level,
        "density": coded(density, 0.0, 3.0 * level),
        "owners": packed(owner),
        "parts": [
            {
                "label": label,
                "title": part_title(label, named[label]),
                "colour": part_colour(label),
                "motion": _motion(motions[label]) if label in motions else None,
            }
            for label in shown
        ],
    }
    return json.dumps(content)


def _grid(positions: FloatArray) -> tuple[FloatArray, float, NDArray[np.int64]]:
    """Origin (x, y, z), voxel size and number of voxels (x, y, z) about the molecule, Å."""
    spacing = _spacing(positions)
    margin = 3 * BLUR_IN_SPACINGS * spacing
    low, high = positions.min(axis=0) - margin, positions.max(axis=0) + margin
    voxel = spacing / VOXELS_A_SPACING
    voxel = max(voxel, float(np.prod(high - low) / MOST_VOXELS) ** (1 / 3))
    size = np.ceil((high - low) / voxel).astype(np.int64) + 1
    return low, voxel, size


def _spacing(positions: FloatArray) -> float:
    """Typical distance from a Gaussian to its nearest neighbour, Å."""
    if len(positions) < 2:
        return 5.0
    nearest, _ = cKDTree(positions).query(positions, k=2)
    return max(float(np.median(nearest[:, 1])), 0.5)


def _voxels(positions: FloatArray, origin: FloatArray, voxel: float) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.rint((positions - origin) / voxel).astype(np.int64)
    return found


def _owned_density(
    positions: FloatArray,
    labels: NDArray[np.int64],
    shown: list[int],
    origin: FloatArray,
    voxel: float,
    size: NDArray[np.int64],
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Density [z, y, x] of all Gaussians, and the place in `shown` of who has most of it."""
    blur = BLUR_IN_SPACINGS * _spacing(positions) / voxel
    shape = tuple(int(n) for n in size[::-1])
    total, most = np.zeros(shape), np.zeros(shape)
    owner = np.zeros(shape, dtype=np.uint8)
    for place, label in enumerate(shown):
        at = _voxels(positions[labels == label], origin, voxel)
        own = np.zeros(shape)
        np.add.at(own, tuple(at[:, ::-1].T), 1.0)
        own = gaussian_filter(own, blur)
        owner[own > most] = place
        most = np.maximum(most, own)
        total += own
    return total, owner


def _motion(content: dict[str, Any]) -> dict[str, Any]:
    """What the page needs to move a part: a screw, and its angles from 5% to 95%."""
    screw, angles = content["screw"], content["signed_angle_degrees"]
    return {
        "axis": [round(float(v), 5) for v in screw["axis"]],
        "pivot": [round(float(v), 2) for v in screw["pivot_angstrom"]],
        "slide": float(screw["slide_angstrom_per_degree"]),
        "low": float(angles["quantile_05"]),
        "mean": float(angles["mean"]),
        "high": float(angles["quantile_95"]),
    }
