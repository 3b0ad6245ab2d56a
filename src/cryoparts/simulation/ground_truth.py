"""What was put into a simulated data set; stored beside it as truth.npz."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray

COUPLINGS = "couplings"
"""Key that is stored only where something is coupled."""

NUISANCES, NUISANCE_PREFIX = "nuisances", "nuisance_"
"""Field of what is wrong with the particles, and how its keys begin; stored only if anything is."""

TRUTH_FILE = "truth.npz"
"""Name of the file in the folder of a simulated data set."""


def _nothing() -> NDArray[np.str_]:
    return np.empty(0, dtype=np.str_)


@dataclass(frozen=True)
class NuisanceTruth:
    """What is wrong with each of the P particles of a data set.

    Parameters
    ----------
    junk_kind : str array, shape (P,)
        Kind of junk; "" for a particle.
    lost : bool array, shape (P,)
        Particles whose given pose is random.
    rotation, given_rotation : float64 arrays, shape (P, 3, 3)
    shift_angstrom, given_shift_angstrom : float64 arrays, shape (P, 2)
    defocus_u_angstrom, defocus_v_angstrom, given_defocus_u_angstrom, given_defocus_v_angstrom
        float64 arrays, shape (P,).
    scale : float64 array, shape (P,)
        Contrast of the particle, 1 on average.
    b_factor : float64 array, shape (P,)
        Å².
    magnification : float64 array, shape (P,)
        True over nominal.
    background : float64 array, shape (P, 2)
        Rise across the box along x and y, in standard deviations of the noise.
    view : int array, shape (P,)
        Number of the preferred view; -1 for none.
    optics_group : int array, shape (P,)
        1 for the first.
    """

    junk_kind: NDArray[np.str_]
    lost: NDArray[np.bool_]
    rotation: FloatArray
    shift_angstrom: FloatArray
    given_rotation: FloatArray
    given_shift_angstrom: FloatArray
    defocus_u_angstrom: FloatArray
    defocus_v_angstrom: FloatArray
    given_defocus_u_angstrom: FloatArray
    given_defocus_v_angstrom: FloatArray
    scale: FloatArray
    b_factor: FloatArray
    magnification: FloatArray
    background: FloatArray
    view: NDArray[np.int64]
    optics_group: NDArray[np.int64]

    @property
    def good(self) -> NDArray[np.bool_]:
        """Particles, and in their given pose (but for its error), shape (P,)."""
        good: NDArray[np.bool_] = (self.junk_kind == "") & ~self.lost
        return good

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Of the chosen particles, in the order asked for."""
        return type(self)(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


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
    nuisances : NuisanceTruth or None
        None where nothing is wrong with the particles.
    """

    kind: ClassVar[str] = ""

    names: NDArray[np.str_]
    seed: int
    image_scale: float
    contrast: str
    nuisances: NuisanceTruth | None = field(default=None, kw_only=True)

    @property
    def good(self) -> NDArray[np.bool_]:
        """Which images are particles in their given poses, shape (P,)."""
        wrong = self.nuisances
        return np.ones(len(self.names), dtype=bool) if wrong is None else wrong.good

    def save(self, path: Path) -> None:
        """Write an .npz with one key a field, and the kind; no pickle."""
        arrays: dict[str, Any] = {"kind": np.array(self.kind)}
        own = [f.name for f in fields(self) if f.name != NUISANCES]
        values = {name: np.asarray(getattr(self, name)) for name in own}
        arrays |= {key: value for key, value in values.items() if key != COUPLINGS or value.size}
        if self.nuisances is not None:
            arrays |= {f"{NUISANCE_PREFIX}{key}": v for key, v in vars(self.nuisances).items()}
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
class BothTruth(CompositionTruth):
    """Which segments each particle has, and how far each of them is turned.

    Parameters
    ----------
    moving, vanishing : int arrays
        The segments that turn, and those that come and go.
    axes, pivots : float64 arrays, shape (S, 3)
        As in `MotionTruth`; of segments that turn.
    angles_degrees : float64 array, shape (P, S)
        0 for segments that do not turn.
    """

    kind: ClassVar[str] = "both"

    moving: NDArray[np.int64] = field(kw_only=True)
    vanishing: NDArray[np.int64] = field(kw_only=True)
    axes: FloatArray = field(kw_only=True)
    pivots: FloatArray = field(kw_only=True)
    angles_degrees: FloatArray = field(kw_only=True)

    @property
    def optional_segments(self) -> NDArray[np.int64]:
        """Indices of the segments that may be absent."""
        return self.vanishing

    @property
    def motion(self) -> MotionTruth:
        """The segments that turn as moving regions, all else as the still rest."""
        region = np.zeros(len(self.segment_names), dtype=np.int64)
        region[self.moving] = np.arange(1, len(self.moving) + 1)
        return MotionTruth(
            names=self.names,
            seed=self.seed,
            image_scale=self.image_scale,
            contrast=self.contrast,
            nuisances=self.nuisances,
            atom_positions=self.atom_positions,
            atom_masses=self.atom_masses,
            atom_region=region[self.atom_segment],
            region_names=self.segment_names[self.moving],
            axes=self.axes[self.moving],
            pivots=self.pivots[self.moving],
            angles_degrees=self.angles_degrees[:, self.moving],
        )


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
