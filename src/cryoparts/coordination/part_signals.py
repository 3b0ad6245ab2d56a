"""What each part does in each particle, in the one number that suits its kind of change."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoparts.errors import InputError
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

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

    A part that comes and goes is told by its presence, one that turns by its
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
    for part in range(1, parts + 1):
        if composition is not None and composition.parts[part - 1].is_optional:
            probability = composition.parts[part - 1].probability
            signals.append(PartSignal(part, "presence", probability))
            continue
        motion = run.motion_path / f"part_{part}.csv"
        angles = read_column(motion, ANGLE_COLUMN, names) if motion.is_file() else None
        if angles is not None and np.isfinite(angles).all() and float(np.ptp(angles)) > 0:
            signals.append(PartSignal(part, "angle", angles))
        elif (run.focus_path(part) / "particles.csv").is_file():
            focused = FocusedParticles.load(run.focus_path(part))
            rows = rows_by_name(focused.names, names, str(run.focus_path(part)))
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
    with path.open(encoding="utf-8", newline="") as stream:
        table = list(csv.DictReader(stream))
    if not table or column not in table[0] or "name" not in table[0]:
        return None
    rows = rows_by_name(np.array([row["name"] for row in table]), names, str(path))
    try:
        values = np.array([float(row[column] or "nan") for row in table])
    except ValueError as fault:
        raise InputError(
            str(path), f"the column {column} is not of numbers: {fault}", "Make the table again."
        ) from fault
    return values[rows]


def rows_by_name(
    known: NDArray[np.str_], wanted: NDArray[np.str_], where: str
) -> NDArray[np.int64]:
    """Row of `known` of each name in `wanted`.

    Raises
    ------
    InputError
        If a name is missing.
    """
    row = {str(name): number for number, name in enumerate(known.tolist())}
    missing = [str(name) for name in wanted.tolist() if str(name) not in row]
    if missing:
        raise InputError(
            where,
            f"lacks {len(missing)} of the run's particles, the first is {missing[0]!r}",
            "Run the step that writes it again.",
        )
    return np.array([row[str(name)] for name in wanted.tolist()], dtype=np.int64)
