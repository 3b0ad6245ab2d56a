"""The states of one part and their maps, as the folders of focus and reconstruct hold them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.io.tables import read_json, read_table
from cryoparts.palette import state_shades
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.io.run_directory import RunDirectory

    FloatArray = NDArray[np.float64]

SMALLEST_VARIATION = 1e-6
"""What was not trained to vary is written as the same number for every particle."""


@dataclass(frozen=True)
class FscCurve:
    """Fourier shell correlation of a state's half maps.

    Parameters
    ----------
    frequency : array, shape (R,)
        1/Å.
    correlation : array, shape (R,)
        Corrected for the mask; NaN where it is undefined.
    unmasked, randomised : array, shape (R,), optional
        Without a mask, and inside the mask with random phases; absent from
        folders of old.
    """

    frequency: FloatArray
    correlation: FloatArray
    unmasked: FloatArray | None = None
    randomised: FloatArray | None = None


@dataclass(frozen=True)
class PartStates:
    """Particles grouped by one part, and the maps of the groups.

    Parameters
    ----------
    label : int
        The part.
    focused : FocusedParticles
        The particles seen through the part.
    maps : dict
        Map file of each state.
    differences : dict
        Difference map file of each pair (one, other) of states: one minus other.
    difference_noise : dict
        Standard deviation of the noise of a difference map, where it is known.
    fsc : dict
        Half-map FSC of each state.
    resolutions : dict
        Resolution of each state's map, Å, where it is known.
    nyquist_angstrom : float or None
        Finest resolution that the maps' voxels can hold.
    notes : dict
        What the reconstruction has to say of a state's map.
    """

    label: int
    focused: FocusedParticles
    maps: dict[int, Path]
    differences: dict[tuple[int, int], Path]
    difference_noise: dict[tuple[int, int], float]
    fsc: dict[int, FscCurve]
    resolutions: dict[int, float]
    nyquist_angstrom: float | None
    notes: dict[int, str]

    @property
    def states(self) -> list[int]:
        """The states that have particles."""
        return [int(v) for v in np.unique(self.focused.states) if v > 0]

    @property
    def shades(self) -> dict[int, str]:
        """Colour of each state: the part's own, from dark to light."""
        return dict(zip(self.states, state_shades(self.label, len(self.states)), strict=True))

    @property
    def relative_amplitude(self) -> FloatArray | None:
        """Mean amplitude of the part relative to the neutral model; None where it never varies."""
        return _if_varying(self.focused.mean_amplitude)

    @property
    def displacement_angstrom(self) -> FloatArray | None:
        """Root mean square displacement of the part, Å; None where it never moves."""
        return _if_varying(self.focused.displacement_rms_angstrom)

    def resolution_text(self, state: int) -> str:
        """Resolution of a state's map in words; one that the voxels limit is marked."""
        resolution = self.resolutions.get(state)
        if resolution is None:
            return "–"
        limited = self.nyquist_angstrom and resolution <= 1.001 * self.nyquist_angstrom
        return f"{'≤ ' if limited else ''}{resolution:.1f} Å"


def _if_varying(values: FloatArray) -> FloatArray | None:
    return values if len(values) and float(np.ptp(values)) > SMALLEST_VARIATION else None


def read_part_states(
    run: RunDirectory, labels: list[int], names: NDArray[np.str_] | None = None
) -> dict[int, PartStates]:
    """The states of those parts for which `cryoparts focus` has run.

    Parameters
    ----------
    run : RunDirectory
    labels : list of int
    names : str array, shape (P,), optional
        Of the run's particles, where they are known: the parts then hold no others. Names
        of real data take most of the memory of a table.

    Raises
    ------
    InputError
        If a file of the folders cannot be read.
    """
    found: dict[int, PartStates] = {}
    for label in labels:
        if (run.focus_path(label) / "particles.csv").is_file():
            one = _read_one(label, run.focus_path(label), run.reconstruction_path(label), names)
            found[label], names = one, one.focused.names
    return found


def _read_one(
    label: int, focus: Path, reconstruction: Path, names: NDArray[np.str_] | None
) -> PartStates:
    summary = read_json(reconstruction / "summary.json") or {}
    states = _by_number(summary.get("states"), r"state_(\d+)")
    differences = _by_number(summary.get("differences"), r"difference_(\d+)_minus_(\d+)")
    maps = _matching(reconstruction, r"state_(\d+)\.mrc")
    subtracted = _matching(reconstruction, r"difference_(\d+)_minus_(\d+)\.mrc")
    pixels = [of["pixel_size_angstrom"] for of in states.values() if "pixel_size_angstrom" in of]
    fsc = reconstruction / "fsc.csv"
    focused = FocusedParticles.load(focus)
    if names is not None and np.array_equal(names, focused.names):
        focused = replace(focused, names=names)
    return PartStates(
        label=label,
        focused=focused,
        maps={key[0]: path for key, path in maps.items()},
        differences={(key[0], key[1]): path for key, path in subtracted.items()},
        difference_noise={
            (key[0], key[1]): float(of["noise"]) for key, of in differences.items() if of["noise"]
        },
        fsc=_read_fsc(fsc) if fsc.is_file() else {},
        resolutions={
            key[0]: float(of["resolution_angstrom"])
            for key, of in states.items()
            if of.get("resolution_angstrom")
        },
        nyquist_angstrom=next((2 * float(p) for p in pixels), None),
        notes={key[0]: str(of["note"]) for key, of in states.items() if of.get("note")},
    )


def _by_number(entries: Any, pattern: str) -> dict[tuple[int, ...], dict[str, Any]]:
    """Entries of a summary by the numbers in their names."""
    found = ((re.fullmatch(pattern, name), of) for name, of in dict(entries or {}).items())
    return {tuple(int(v) for v in match.groups()): of for match, of in found if match}


def _matching(folder: Path, pattern: str) -> dict[tuple[int, ...], Path]:
    """Map files by the numbers in their names, in the order of the numbers."""
    found = ((re.fullmatch(pattern, path.name), path) for path in folder.glob("*.mrc"))
    numbered = {tuple(int(v) for v in match.groups()): path for match, path in found if match}
    return dict(sorted(numbered.items()))


def _read_fsc(path: Path) -> dict[int, FscCurve]:
    """Curves of the columns state_1, state_2 ... of a table of shells."""
    table = read_table(path, ["frequency_per_angstrom"])
    frequency = table["frequency_per_angstrom"].to_numpy(dtype=np.float64)

    def column(name: str) -> FloatArray | None:
        known = name in table.columns
        return table[name].to_numpy(dtype=np.float64) if known else None

    states = [match[1] for c in table.columns if (match := re.fullmatch(r"state_(\d+)", str(c)))]
    curves = {
        int(state): FscCurve(
            frequency,
            table[f"state_{state}"].to_numpy(dtype=np.float64),
            column(f"state_{state}_unmasked"),
            column(f"state_{state}_randomised"),
        )
        for state in states
    }
    return {k: curve for k, curve in curves.items() if np.isfinite(curve.correlation).any()}
