"""What was put into a simulated data set; stored beside it as truth.npz."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray

COUPLINGS = "couplings"
"""Key that is stored only where something is coupled."""

TRUTH_FILE = "truth.npz"
"""Name of the file in the folder of a simulated data set."""


def _nothing() -> NDArray[np.str_]:
    return np.empty(0, dtype=np.str_)


@dataclass(frozen=True)
class Truth:
    """What is known of every simulated data set.

    Parameters
    ----------
    names : str array, shape (P,)
        The particles' own names, as their table gives them.
    seed : int
        Of the simulation.
    image_scale : float
        Factor from projected scattering mass to the units of the images.
    contrast : {"bright", "dark"}
        Whether the images show protein bright or dark.
    """

    kind: ClassVar[str] = ""

    names: NDArray[np.str_]
    seed: int
    image_scale: float
    contrast: str

    def save(self, path: Path) -> None:
        """Write an .npz with one key a field, and the kind; no pickle."""
        arrays: dict[str, Any] = {"kind": np.array(self.kind)}
        values = {f.name: np.asarray(getattr(self, f.name)) for f in fields(self)}
        arrays |= {key: value for key, value in values.items() if key != COUPLINGS or value.size}
        np.savez_compressed(path, **arrays)


@dataclass(frozen=True)
class CompositionTruth(Truth):
    """Which segments of the molecule each particle has.

    Parameters
    ----------
    atom_positions : float32 array, shape (A, 3)
        About the box centre, Å.
    atom_masses : float32 array, shape (A,)
    atom_segment : int array, shape (A,)
        Segment of each atom, 0..S-1.
    segment_names : str array, shape (S,)
    presence : bool array, shape (P, S)
    core : int
        The segment that is always present.
    couplings : str array, shape (C,)
        What the segments' presences were made to depend on; empty if independent.
    """

    kind: ClassVar[str] = "composition"

    atom_positions: NDArray[np.float32]
    atom_masses: NDArray[np.float32]
    atom_segment: NDArray[np.int64]
    segment_names: NDArray[np.str_]
    presence: NDArray[np.bool_]
    core: int
    couplings: NDArray[np.str_] = field(default_factory=_nothing)

    @property
    def optional_segments(self) -> NDArray[np.int64]:
        """Indices of the segments that may be absent."""
        return np.delete(np.arange(len(self.segment_names)), self.core)


@dataclass(frozen=True)
class MotionTruth(Truth):
    """How far each region of the molecule is turned in each particle.

    Parameters
    ----------
    atom_positions : float32 array, shape (A, 3)
        About the box centre, Å, before any motion.
    atom_masses : float32 array, shape (A,)
    atom_region : int array, shape (A,)
        0 for atoms that stay, 1..R for those of region_names[r - 1].
    region_names : str array, shape (R,)
    axes, pivots : float64 arrays, shape (R, 3)
        Unit vectors, and points (Å, about the box centre) on the axes.
    angles_degrees : float64 array, shape (P, R)
    couplings : str array, shape (C,)
        Which angles were made to correlate; empty if independent.
    """

    kind: ClassVar[str] = "motion"

    atom_positions: NDArray[np.float32]
    atom_masses: NDArray[np.float32]
    atom_region: NDArray[np.int64]
    region_names: NDArray[np.str_]
    axes: FloatArray
    pivots: FloatArray
    angles_degrees: FloatArray
    couplings: NDArray[np.str_] = field(default_factory=_nothing)


@dataclass(frozen=True)
class MapsTruth(Truth):
    """Which map each particle was projected from.

    Parameters
    ----------
    map_index : int array, shape (P,)
    map_names : str array, shape (M,)
    """

    kind: ClassVar[str] = "maps"

    map_index: NDArray[np.int64]
    map_names: NDArray[np.str_]
