"""Particles looked at through one part: their states, or their order along a curve."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_text
from cryoparts.parts.embedding import Method, embed
from cryoparts.parts.particle_features import ParticleFeatures, describe_particles
from cryoparts.parts.states import choose_number, cluster
from cryoparts.parts.tables import load_array, save_array, write_table
from cryoparts.parts.trajectory import curve_coordinate, cut_into_states

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

Order = Literal["clusters", "curve"]

STATES_ALONG_A_CURVE = 3
"""States that a curve is cut into where no number is given."""

_AMPLITUDE_DIFFERS = 0.05


@dataclass(frozen=True)
class FocusedParticles:
    """P particles seen through one part.

    Parameters
    ----------
    names : str array, shape (P,)
        The particles' own names.
    embedding : array, shape (P, 2)
    states : int array, shape (P,)
        1 ... K. Numbered by the part's mean amplitude, most density first, or,
        where that hardly differs, along the coordinate.
    coordinate : array, shape (P,)
        Position along the first component, or along the curve (0 to 1).
    mean_amplitude : array, shape (P,)
        Mean relative amplitude of the part.
    displacement_rms_angstrom : array, shape (P,)
        Root mean square displacement of the part, Å.
    order : "clusters" or "curve"
    chosen_by : str
        "given" or "found" (gap statistic).
    """

    names: NDArray[np.str_]
    embedding: FloatArray
    states: IntArray
    coordinate: FloatArray
    mean_amplitude: FloatArray
    displacement_rms_angstrom: FloatArray
    order: str
    chosen_by: str

    def __len__(self) -> int:
        return len(self.states)

    @property
    def n_states(self) -> int:
        """Number of states; 1 means that no separate ones were found."""
        return int(self.states.max(initial=0))

    def members(self, state: int) -> IntArray:
        """Rows of the particles in a state (1 ... K)."""
        return np.flatnonzero(self.states == state)

    def save(self, folder: Path) -> None:
        """Write embedding.npy, states.npy, particles.csv and summary.json."""
        folder.mkdir(parents=True, exist_ok=True)
        save_array(folder / "embedding.npy", self.embedding.astype(np.float32))
        save_array(folder / "states.npy", self.states)
        columns = {
            "name": self.names,
            "state": self.states,
            "coordinate": self.coordinate,
            "mean_amplitude": self.mean_amplitude,
            "displacement_rms_angstrom": self.displacement_rms_angstrom,
            "x": self.embedding[:, 0],
            "y": self.embedding[:, 1],
        }
        write_table(folder / "particles.csv", columns)
        rows = [self.members(state) for state in range(1, self.n_states + 1)]
        summary = {
            "particles": len(self),
            "n_states": self.n_states,
            "order": self.order,
            "number_of_states": self.chosen_by,
            "particles_in_state": [len(r) for r in rows],
            "mean_amplitude_of_state": [float(self.mean_amplitude[r].mean()) for r in rows],
            "displacement_rms_of_state_angstrom": [
                float(np.sqrt((self.displacement_rms_angstrom[r] ** 2).mean())) for r in rows
            ],
        }
        write_text(folder / "summary.json", json.dumps(summary, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If a file is missing or does not fit the others.
        """
        try:
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
            names, columns = _read_particles(folder / "particles.csv")
            return cls(
                names=names,
                embedding=load_array(folder / "embedding.npy").astype(np.float64),
                states=load_array(folder / "states.npy").astype(np.int64),
                coordinate=columns["coordinate"],
                mean_amplitude=columns["mean_amplitude"],
                displacement_rms_angstrom=columns["displacement_rms_angstrom"],
                order=str(summary["order"]),
                chosen_by=str(summary["number_of_states"]),
            )
        except (OSError, ValueError, KeyError) as fault:
            raise InputError(
                str(folder), f"not a folder of focus: {fault}", "Make one with `cryoparts focus`."
            ) from fault


def focus_on_part(
    names: NDArray[np.str_],
    members: NDArray[np.bool_],
    relative_amplitudes: NDArray[np.floating] | None = None,
    displacements: NDArray[np.floating] | None = None,
    *,
    n_states: int | None = None,
    order: Order = "clusters",
    method: Method = "pca",
    seed: int = 0,
) -> FocusedParticles:
    """Group or order particles by what one part does in them.

    Parameters
    ----------
    names : str array, shape (P,)
    members : bool array, shape (N,)
        The part's Gaussians.
    relative_amplitudes : array, shape (P, N), optional
    displacements : array, shape (P, N, 3), optional
        Å.
    n_states : int, optional
        Default: found by the gap statistic, 1 to 5 (3 along a curve).
    order : "clusters" or "curve"
        K-means, or equal parts of a principal curve.
    method : "pca" or "umap"
        Layout in the plane, for looking at; states never depend on it.
    seed : int

    Raises
    ------
    InputError
        If there are fewer particles than states asked for.
    ValueError
        If shapes disagree or nothing is given to look at.
    """
    if n_states is not None and not 1 <= n_states <= len(names):
        raise InputError(
            "--states",
            f"must be between 1 and the number of particles, {len(names)}, got {n_states}",
            "Ask for fewer states, or leave the option out.",
        )
    seen = describe_particles(members, relative_amplitudes, displacements)
    if len(seen) != len(names):
        raise ValueError(f"{len(names)} names for {len(seen)} particles")
    coordinate = seen.components[:, 0]
    if order == "curve":
        coordinate = curve_coordinate(seen.components)
        number = n_states or min(STATES_ALONG_A_CURVE, len(names))
        states = cut_into_states(coordinate, number)
    else:
        number = n_states or choose_number(seen.components, seed)
        states = _numbered(cluster(seen.components, number, seed), seen)
    return FocusedParticles(
        names=names,
        embedding=embed(seen.components, method=method, seed=seed).coordinates,
        states=states,
        coordinate=coordinate,
        mean_amplitude=seen.mean_amplitude,
        displacement_rms_angstrom=seen.displacement_rms_angstrom,
        order=order,
        chosen_by="found" if n_states is None and order == "clusters" else "given",
    )


def _numbered(labels: IntArray, seen: ParticleFeatures) -> IntArray:
    """States from 1: by falling mean amplitude, or along the first component."""
    count = int(labels.max()) + 1
    amplitude = np.array([seen.mean_amplitude[labels == k].mean() for k in range(count)])
    along = np.array([seen.components[labels == k, 0].mean() for k in range(count)])
    key = -amplitude if np.ptp(amplitude) > _AMPLITUDE_DIFFERS else along
    number = np.empty(count, dtype=np.int64)
    number[np.argsort(key, kind="stable")] = np.arange(1, count + 1)
    return number[labels]


def _read_particles(path: Path) -> tuple[NDArray[np.str_], dict[str, FloatArray]]:
    import csv

    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    wanted = ("coordinate", "mean_amplitude", "displacement_rms_angstrom")
    columns = {key: np.array([float(row[key]) for row in rows]) for key in wanted}
    return np.array([row["name"] for row in rows], dtype=np.str_), columns
