"""The states of one part and their maps, as the folders of focus and reconstruct hold them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.report.tables import read_array, read_table

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from cryoparts.io.run_directory import RunDirectory

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

FSC_THRESHOLD = 0.143
AMPLITUDE_COLUMNS = ("mean_relative_amplitude", "relative_amplitude", "amplitude")
DISPLACEMENT_COLUMNS = ("mean_displacement_angstrom", "displacement_angstrom", "displacement")


@dataclass(frozen=True)
class FscCurve:
    """Fourier shell correlation of a state's half maps.

    Parameters
    ----------
    frequency : array, shape (R,)
        1/Å.
    correlation : array, shape (R,)
    """

    frequency: FloatArray
    correlation: FloatArray

    @property
    def resolution_angstrom(self) -> float | None:
        """Where the curve first falls below 0.143, Å; None where it never does."""
        below = np.flatnonzero((self.correlation < FSC_THRESHOLD) & (self.frequency > 0))
        if not len(below):
            return None
        last = int(below[0])
        first = max(last - 1, 0)
        high, low = self.correlation[first], self.correlation[last]
        step = (high - FSC_THRESHOLD) / (high - low) if high > low else 1.0
        crossing = self.frequency[first] + step * (self.frequency[last] - self.frequency[first])
        return float(1.0 / crossing) if crossing > 0 else None


@dataclass(frozen=True)
class PartStates:
    """Particles grouped by one part, and the maps of the groups.

    Parameters
    ----------
    label : int
        The part.
    particles : DataFrame
        One row a particle: name, state, and what else was written of it.
    embedding : array, shape (P, K), or None
    maps : dict
        Map file of each state.
    differences : dict
        Difference map file of each pair (one, other) of states: one minus other.
    fsc : dict
        Half-map FSC of each state.
    """

    label: int
    particles: pd.DataFrame
    embedding: FloatArray | None
    maps: dict[int, Path]
    differences: dict[tuple[int, int], Path]
    fsc: dict[int, FscCurve]

    @property
    def state(self) -> IntArray:
        """State of each particle (1-based), shape (P,)."""
        values: IntArray = self.particles["state"].to_numpy(dtype=np.int64)
        return values

    @property
    def states(self) -> list[int]:
        """The states that have particles."""
        return [int(v) for v in np.unique(self.state) if v > 0]

    @property
    def relative_amplitude(self) -> FloatArray | None:
        """Mean amplitude of the part relative to the neutral model, shape (P,)."""
        return self._measure(AMPLITUDE_COLUMNS)

    @property
    def displacement_angstrom(self) -> FloatArray | None:
        """Mean displacement of the part, Å, shape (P,)."""
        return self._measure(DISPLACEMENT_COLUMNS)

    @property
    def coordinate(self) -> FloatArray | None:
        """Position along the main change of the part, shape (P,)."""
        return self._measure(("coordinate", "x"))

    def _measure(self, columns: tuple[str, ...]) -> FloatArray | None:
        for column in columns:
            if column in self.particles.columns:
                values: FloatArray = self.particles[column].to_numpy(dtype=np.float64)
                return values if np.isfinite(values).any() else None
        return None


def read_part_states(run: RunDirectory, labels: list[int]) -> dict[int, PartStates]:
    """The states of those parts for which `cryoparts focus` has run.

    Raises
    ------
    InputError
        If a file of the folders cannot be read.
    """
    return {
        label: _read_one(label, run.focus_path(label), run.reconstruction_path(label))
        for label in labels
        if (run.focus_path(label) / "particles.csv").is_file()
    }


def _read_one(label: int, focus: Path, reconstruction: Path) -> PartStates:
    embedding = focus / "embedding.npy"
    fsc = reconstruction / "fsc.csv"
    return PartStates(
        label=label,
        particles=read_table(focus / "particles.csv", ["name", "state"]),
        embedding=read_array(embedding, dimensions=2).astype(np.float64)
        if embedding.is_file()
        else None,
        maps={int(m[1]): path for path, m in _matching(reconstruction, r"state_(\d+)\.mrc")},
        differences={
            (int(m[1]), int(m[2])): path
            for path, m in _matching(reconstruction, r"difference_(\d+)_minus_(\d+)\.mrc")
        },
        fsc=_read_fsc(fsc) if fsc.is_file() else {},
    )


def _matching(folder: Path, pattern: str) -> list[tuple[Path, re.Match[str]]]:
    found = ((path, re.fullmatch(pattern, path.name)) for path in folder.glob("*.mrc"))
    return sorted(
        ((path, match) for path, match in found if match),
        key=lambda pair: [int(v) for v in pair[1].groups()],
    )


def _read_fsc(path: Path) -> dict[int, FscCurve]:
    """Curves of the columns state_1, state_2 ... of a table of rings."""
    table = read_table(path, ["frequency_per_angstrom"])
    frequency = table["frequency_per_angstrom"].to_numpy(dtype=np.float64)
    columns = {
        int(match[1]): table[column].to_numpy(dtype=np.float64)
        for column in table.columns
        if (match := re.fullmatch(r"state_(\d+)", str(column)))
    }
    return {state: FscCurve(frequency, values) for state, values in columns.items()}
