"""What each part does in each particle, in the one number that suits its kind of change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoparts.io.names import rows_of_names
from cryoparts.io.tables import AGAIN, numbers, read_table
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.occupancy.composition import Composition

    FloatArray = NDArray[np.float64]

Kind = Literal["presence", "angle", "state", "coordinate"]
ANGLE_COLUMN = "signed_angle_degrees"


@dataclass(frozen=True)
class PartSignal:
    """One part over the P particles.

    Parameters
    ----------
    part : int
        Its number.
    kind : "presence", "angle", "state" or "coordinate"
        Probability of presence, signed angle about the part's mean axis
        (degrees), number of the state, or coordinate along the curve of focus.
    values : array, shape (P,)
    """

    part: int
    kind: Kind
    values: FloatArray


def read_signals(
    run: RunDirectory, names: NDArray[np.str_], composition: Composition | None, parts: int
) -> list[PartSignal]:
    """The signal of every part of a run that has one.

    A part that comes and goes is told by its presence (unless the particles without it are so
    few that they may be broken: these lack several parts at once), one that turns by its
    angle, any other by its state in focus/ or, where its particles lie along a
    curve, by the coordinate. Parts for which none of these has been made are left out.

    Parameters
    ----------
    run : RunDirectory
    names : str array, shape (P,)
        Particles, in the order wanted.
    composition : Composition or None
        Presence of the parts, of the same particles in the same order.
    parts : int
        Number of parts.

    Raises
    ------
    InputError
        If a table lacks one of the particles.
    """
    signals = []
    optional = [] if composition is None else composition.optional
    for part in range(1, parts + 1):
        if composition is not None and part in optional:
            probability = composition.parts[part - 1].probability
            signals.append(PartSignal(part, "presence", probability))
            continue
        motion = run.motion_path / f"part_{part}.csv"
        angles = read_column(motion, ANGLE_COLUMN, names) if motion.is_file() else None
        if angles is not None and np.isfinite(angles).all() and float(np.ptp(angles)) > 0:
            signals.append(PartSignal(part, "angle", angles))
        elif (run.focus_path(part) / "particles.csv").is_file():
            focused = FocusedParticles.load(run.focus_path(part))
            rows = rows_of_run(focused.names, names, run.focus_path(part))
            if focused.order == "clusters" and focused.n_states > 1:
                # a coordinate's small differences within a state are leakage, not change
                states = focused.states[rows].astype(np.float64)
                signals.append(PartSignal(part, "state", states))
            else:
                signals.append(PartSignal(part, "coordinate", focused.coordinate[rows]))
    return signals


def read_column(path: Path, column: str, names: NDArray[np.str_]) -> FloatArray | None:
    """A column (P,) of a table of particles by name, NaN where empty; None if it has none such.

    Raises
    ------
    InputError
        If the table lacks one of the particles, or the column is not of numbers.
    """
    table = read_table(path)
    if not len(table) or column not in table.columns or "name" not in table.columns:
        return None
    rows = rows_of_run(table["name"], names, path)
    return numbers(table, column, path)[rows]


def rows_of_run(known: ArrayLike, wanted: ArrayLike, path: Path) -> NDArray[np.int64]:
    """Rows of a table of particles in the order of the run.

    Raises
    ------
    InputError
        If the table lacks a particle of the run.
    """
    return rows_of_names(known, wanted, str(path), whose="the run's", container="it", cure=AGAIN)
