"""Particles ordered along a curve through their cloud, and what the molecule does along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.stats import rankdata

from cryoparts.errors import InputError
from cryoparts.io.tables import load_array, read_table, save_array, write_table
from cryoparts.states.principal_curve import PrincipalCurve

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]
    Decode = Callable[[IntArray], tuple[NDArray[np.floating] | None, NDArray[np.floating] | None]]

POINTS = 10
"""Points of a trajectory."""

MOST_PARTICLES_A_POINT = 200
"""Particles nearest to a point of the curve whose mean is shown: noise falls to 7% of one."""


def curve_coordinate(
    components: ArrayLike, bandwidth: float = 0.1, counted: NDArray[np.bool_] | None = None
) -> FloatArray:
    """Position of each point along the cloud's principal curve, from 0 to 1.

    See `cryoparts.states.principal_curve.PrincipalCurve.through`.

    Parameters
    ----------
    components : array, shape (P, C)
        Principal components of the particles.
    bandwidth : float
        Width of the smoothing as a fraction of the particles.
    counted : bool array, shape (P,), optional
    """
    return PrincipalCurve.through(components, bandwidth, counted).coordinate


def cut_into_states(
    coordinate: ArrayLike, n_states: int, counted: NDArray[np.bool_] | None = None
) -> IntArray:
    """States 1 ... n along a coordinate, with equally many of the `counted` particles each.

    Raises
    ------
    ValueError
        If fewer particles than states count.
    """
    values = np.asarray(coordinate, dtype=np.float64)
    own = values if counted is None else values[counted]
    if not 1 <= n_states <= len(own):
        raise ValueError(f"cannot cut {len(own)} particles into {n_states} states")
    rank = rankdata(own, method="ordinal").astype(np.int64) - 1
    of_own: IntArray = rank * n_states // len(own) + 1
    if counted is None or counted.all():
        return of_own
    last = np.array([own[of_own == state].max() for state in range(1, n_states)])
    states = np.searchsorted(last, values, side="left") + 1
    states[counted] = of_own
    return states


@dataclass(frozen=True)
class Trajectory:
    """The whole molecule at T points along a curve, each the mean of the particles near it.

    Parameters
    ----------
    coordinate : array, shape (T,)
        Mean coordinate of the particles of each point.
    particles : int array, shape (T,)
        Particles that each point is the mean of.
    relative_amplitudes : array, shape (T, N), or None
        Amplitudes over the neutral ones; None where they do not vary.
    displacements : array, shape (T, N, 3), or None
        Å from the neutral positions; None where they do not vary.
    """

    coordinate: FloatArray
    particles: IntArray
    relative_amplitudes: FloatArray | None
    displacements: FloatArray | None

    def __len__(self) -> int:
        return len(self.coordinate)

    def save(self, folder: Path) -> None:
        """Write points.csv and, where they vary, amplitudes.npy and displacements.npy (Å)."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, values in (
            ("amplitudes.npy", self.relative_amplitudes),
            ("displacements.npy", self.displacements),
        ):
            if values is not None:
                save_array(folder / name, values.astype(np.float32))
            else:
                (folder / name).unlink(missing_ok=True)
        points = {
            "point": np.arange(1, len(self) + 1),
            "coordinate": self.coordinate,
            "particles": self.particles,
        }
        write_table(folder / "points.csv", points)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If a file is missing or unreadable.
        """
        try:
            points = read_table(
                folder / "points.csv",
                ["coordinate", "particles"],
                cure="Make one with `cryoparts focus --order curve`.",
            )
            arrays = [
                load_array(folder / name).astype(np.float64) if (folder / name).exists() else None
                for name in ("amplitudes.npy", "displacements.npy")
            ]
            counts = points["particles"].to_numpy(dtype=np.int64)
            coordinate = points["coordinate"].to_numpy(dtype=np.float64)
            return cls(coordinate, counts, arrays[0], arrays[1])
        except (OSError, ValueError) as fault:
            raise InputError(
                str(folder),
                f"not a trajectory: {fault}",
                "Make one with `cryoparts focus --order curve`.",
            ) from fault


def sample_trajectory(
    coordinate: ArrayLike,
    decode: Decode,
    n_points: int = POINTS,
    most_particles: int = MOST_PARTICLES_A_POINT,
    counted: NDArray[np.bool_] | None = None,
) -> Trajectory:
    """Mean decoder output of the particles near points spread evenly along a coordinate.

    The points lie evenly between the 2nd and the 98th percentile of the
    coordinate, so that its few outermost particles do not make the ends. Each
    takes the particles not farther than half a step, at most the nearest (200), and
    the one nearest particle where the curve has a gap.

    Parameters
    ----------
    coordinate : array, shape (P,)
    decode : callable
        Given rows (n,) of particles, returns their relative amplitudes (n, N) and
        displacements (n, N, 3) from the neutral positions, None for what does not vary.
    n_points : int
    most_particles : int
        Of a point.
    counted : bool array, shape (P,), optional
        Particles that are taken. Default: all.
    """
    values = np.asarray(coordinate, dtype=np.float64)
    own = np.arange(len(values)) if counted is None else np.flatnonzero(counted)
    values = values[own]
    low, high = np.quantile(values, [0.02, 0.98])
    stations = np.linspace(low, high, n_points)
    reach = 0.5 * (high - low) / max(n_points - 1, 1)
    rows = [_nearest(values, station, reach, most_particles) for station in stations]
    means = [_mean_output(own[chosen], decode) for chosen in rows]
    amplitudes, displacements = zip(*means, strict=True)
    return Trajectory(
        np.array([values[chosen].mean() for chosen in rows]),
        np.array([len(chosen) for chosen in rows]),
        None if amplitudes[0] is None else np.stack(amplitudes),
        None if displacements[0] is None else np.stack(displacements),
    )


def _nearest(values: FloatArray, station: float, reach: float, most: int) -> IntArray:
    distance = np.abs(values - station)
    order = np.argsort(distance, kind="stable")[:most]
    near = order[distance[order] <= reach]
    return np.sort(near if len(near) else order[:1])


def _mean_output(rows: IntArray, decode: Decode) -> tuple[FloatArray | None, FloatArray | None]:
    amplitude, displacement = (
        None if output is None else np.asarray(output.mean(axis=0, dtype=np.float64))
        for output in decode(rows)
    )
    return amplitude, displacement
