"""The result of a focus: every particle's state and place, and its files."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cryoparts.io.atomic import write_text
from cryoparts.io.files import reading
from cryoparts.io.tables import load_array, read_json, read_table, save_array, write_table

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]


FOCUS = "Make one with `cryoparts focus`."

PRESENCE = "presence"
"""Order of states of which the last is the part's absence, as `cryoparts composition` has it."""


@dataclass(frozen=True)
class FocusedParticles:
    """P particles seen through one part, or through K parts together.

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
        Root mean square displacement of the part, as much as there is of it, Å.
    order : "clusters", "mixture", "curve" or "presence"
    chosen_by : str
        "given" or "found" (gap statistic, BIC for a mixture, levels in the images for presence).
    parts : tuple of int
        Numbers of the parts that were looked at; empty in folders of old.
    density : array, shape (P,), optional
        Fraction of the particles that lie in sparser places, 0 to 1.
    certainty : array, shape (P,), optional
        Probability that the particle belongs to its state rather than to another or
        to none; NaN along a curve, whose states are cuts.
    amplitude_of_part, displacement_of_part : arrays, shape (P, K), optional
        Mean relative amplitude and root mean square displacement (Å) of each part.
    presence : array, shape (P,), optional
        Probability that the part is there, where the states are by it.
    """

    names: NDArray[np.str_]
    embedding: FloatArray
    states: IntArray
    coordinate: FloatArray
    mean_amplitude: FloatArray
    displacement_rms_angstrom: FloatArray
    order: str
    chosen_by: str
    parts: tuple[int, ...] = ()
    density: FloatArray | None = None
    certainty: FloatArray | None = None
    amplitude_of_part: FloatArray | None = None
    displacement_of_part: FloatArray | None = None
    presence: FloatArray | None = None

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
        columns: dict[str, NDArray[Any]] = {
            "name": self.names,
            "state": self.states,
            "coordinate": self.coordinate,
            "mean_amplitude": self.mean_amplitude,
            "displacement_rms_angstrom": self.displacement_rms_angstrom,
            "x": self.embedding[:, 0],
            "y": self.embedding[:, 1],
        }
        if self.density is not None:
            columns["density"] = self.density
        if self.certainty is not None:
            columns["certainty"] = self.certainty
        if self.presence is not None:
            columns["presence"] = self.presence
        columns.update(self._columns_of_parts())
        write_table(folder / "particles.csv", columns)
        write_text(folder / "summary.json", json.dumps(self._summary(), indent=2) + "\n")

    def _columns_of_parts(self) -> dict[str, FloatArray]:
        """One column a part where several were looked at."""
        if len(self.parts) < 2:
            return {}
        kinds = (
            ("amplitude", self.amplitude_of_part),
            ("displacement", self.displacement_of_part),
        )
        return {
            f"{kind}:part_{part}": values[:, column]
            for kind, values in kinds
            if values is not None
            for column, part in enumerate(self.parts)
        }

    def _summary(self) -> dict[str, Any]:
        rows = [self.members(state) for state in range(1, self.n_states + 1)]
        summary: dict[str, Any] = {
            "particles": len(self),
            "parts": [f"part_{part}" for part in self.parts],
            "n_states": self.n_states,
            "order": self.order,
            "number_of_states": self.chosen_by,
            "particles_in_state": [len(r) for r in rows],
            "mean_amplitude_of_state": [float(self.mean_amplitude[r].mean()) for r in rows],
            "displacement_rms_of_state_angstrom": [
                float(np.sqrt((self.displacement_rms_angstrom[r] ** 2).mean())) for r in rows
            ],
        }
        for name, values in self._columns_of_parts().items():
            summary[f"mean of {name} in state"] = [float(values[r].mean()) for r in rows]
        return summary

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If a file is missing or does not fit the others.
        """
        summary = read_json(folder / "summary.json") or {}
        with reading(folder / "particles.csv", "of a folder of focus", FOCUS):
            names, columns = _read_particles(folder / "particles.csv")
            parts = tuple(int(name.removeprefix("part_")) for name in summary.get("parts", ()))
            return cls(
                names=names,
                embedding=load_array(folder / "embedding.npy").astype(np.float64),
                states=load_array(folder / "states.npy").astype(np.int64),
                coordinate=columns["coordinate"],
                mean_amplitude=columns["mean_amplitude"],
                displacement_rms_angstrom=columns["displacement_rms_angstrom"],
                order=str(summary["order"]),
                chosen_by=str(summary["number_of_states"]),
                parts=parts,
                density=columns.get("density"),
                certainty=columns.get("certainty"),
                amplitude_of_part=_of_parts(columns, "amplitude", parts),
                displacement_of_part=_of_parts(columns, "displacement", parts),
                presence=columns.get("presence"),
            )


def _of_parts(
    columns: dict[str, FloatArray], kind: str, parts: tuple[int, ...]
) -> FloatArray | None:
    if len(parts) == 1:
        one = {"amplitude": "mean_amplitude", "displacement": "displacement_rms_angstrom"}[kind]
        return columns[one][:, None]
    names = [f"{kind}:part_{part}" for part in parts]
    return np.stack([columns[name] for name in names], axis=1) if names else None


def _read_particles(path: Path) -> tuple[NDArray[np.str_], dict[str, FloatArray]]:
    table = read_table(path, ["name"], cure=FOCUS)
    names = table.pop("name").to_numpy(dtype=np.str_)
    return names, {str(key): table[key].to_numpy(dtype=np.float64) for key in table.columns}
