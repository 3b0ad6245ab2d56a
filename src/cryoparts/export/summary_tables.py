"""Small tables for spreadsheets, beside the files that the program reads itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.io.tables import write_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryoparts.states.focused_particles import FocusedParticles

EPOCHS, MOTIONS, STATES = "metrics.csv", "motions.csv", "states.csv"


def write_epochs(folder: Path, rows: Sequence[Mapping[str, float]]) -> Path:
    """Write metrics.csv: one row an epoch, as metrics.jsonl; a cell is empty where a row lacks it.

    Parameters
    ----------
    folder : Path
        Of the run.
    rows : sequence of dict
    """
    return _write(folder / EPOCHS, rows)


def write_motions(folder: Path, summary: Mapping[str, Any]) -> Path | None:
    """Write motions.csv: one row a part, as motions.json; None where no part moves.

    Vectors get a column for each of x, y, z; numbers within others the names of both.
    """
    rows = [{"part": part} | _flat(content) for part, content in summary["parts"].items()]
    return _write(folder / MOTIONS, rows) if rows else None


def write_states(folder: Path, focused: FocusedParticles) -> Path:
    """Write states.csv: particles of each state, their share, and what the part does in them."""
    rows = []
    for state in range(1, focused.n_states + 1):
        members = focused.members(state)
        rows.append(
            {
                "state": state,
                "particles": len(members),
                "share": len(members) / max(len(focused), 1),
                "mean_amplitude": _mean(focused.mean_amplitude[members]),
                "displacement_rms_angstrom": _mean(focused.displacement_rms_angstrom[members]),
            }
        )
    return _write(folder / STATES, rows)


def _mean(values: np.ndarray[Any, Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _flat(content: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in content.items():
        full = f"{before}{name}"
        if isinstance(value, dict):
            out |= _flat(value, f"{full}_")
        elif isinstance(value, list) and len(value) == 3:
            out |= {f"{full}_{axis}": one for axis, one in zip("xyz", value, strict=True)}
        elif not isinstance(value, list):
            out[full] = value
    return out


def _write(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A column for every name that a row has, in order of first appearance."""
    names = dict.fromkeys(name for row in rows for name in row)
    write_table(path, {name: np.array([_cell(row.get(name)) for row in rows]) for name in names})
    return path


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.9g}" if isinstance(value, float) else str(value)
