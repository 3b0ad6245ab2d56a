"""What each part is: its size, its chains and residues, its kind of change, its stability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.io.tables import read_rows, write_table
from cryoparts.parts.part_chains import chains_of_part, in_brief
from cryoparts.parts.part_kinds import (
    AMPLITUDE_CHANGES_OF_MOVING,
    DISPLACEMENT_CHANGES_ANGSTROM,
    kind_of,
)
from cryoparts.parts.part_labels import CORE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.parts.part_chains import Atoms, ResidueRange
    from cryoparts.parts.part_kinds import PartChange
    from cryoparts.parts.part_labels import PartLabels

DESCRIPTION, CHAINS = "description.csv", "chains.csv"

STABILITY = ("flagged", "null_ratio", "stability_seeds", "stability_halves", "stability_subsamples")
"""Columns of trust/parts.csv that belong to the description of a part."""


@dataclass(frozen=True)
class PartDescription:
    """One part, or the core.

    Parameters
    ----------
    part : int
    name : str
    gaussians : int
    mass_share : float
        Of the molecule.
    mass : float
        Scattering mass, in the unit of the Gaussians' amplitudes.
    chains : tuple of ResidueRange
        Empty where the model was no structure.
    change : PartChange or None
        None for the core.
    """

    part: int
    name: str
    gaussians: int
    mass_share: float
    mass: float
    chains: tuple[ResidueRange, ...]
    change: PartChange | None

    @property
    def label(self) -> str:
        """``core`` or ``part_2``."""
        return "core" if self.part == CORE else f"part_{self.part}"


def describe_parts(
    model: GaussianModel,
    labels: PartLabels,
    changes: Mapping[int, PartChange],
    atoms: Atoms | None,
) -> list[PartDescription]:
    """One entry for the core, where there is one, and for each part."""
    total = max(float(model.amplitudes.sum()), 1e-30)
    described = []
    for part in range(labels.n_parts + 1):
        members = labels.members(part)
        if not members.any():
            continue
        mass = float(model.amplitudes[members].sum())
        described.append(
            PartDescription(
                part=part,
                name=labels.name(part),
                gaussians=int(members.sum()),
                mass_share=mass / total,
                mass=mass,
                chains=() if atoms is None else tuple(chains_of_part(atoms, members)),
                change=changes.get(part),
            )
        )
    return described


def write_description(
    folder: Path, described: list[PartDescription], stability: Mapping[str, Mapping[str, str]]
) -> None:
    """Write description.csv (one row a part) and chains.csv (one row a stretch of a chain).

    Parameters
    ----------
    folder : Path
        parts/ of a run.
    described : list of PartDescription
    stability : mapping of "part_1" to column and value
        See `read_stability`; what is not known stays empty.
    """
    changes = [one.change for one in described]
    columns = {
        "part": [one.label for one in described],
        "name": [one.name for one in described],
        "gaussians": [str(one.gaussians) for one in described],
        "mass": [f"{one.mass:.6g}" for one in described],
        "mass_share": [f"{one.mass_share:.4f}" for one in described],
        "kind": ["" if c is None else c.kind for c in changes],
    }
    numbers = (
        "amplitude_mean",
        "amplitude_deviation",
        "displacement_angstrom",
        "rigid_share",
        "turning_share",
        "angle_deviation_degrees",
    )
    columns |= {
        key: ["" if c is None else f"{getattr(c, key):.4f}" for c in changes] for key in numbers
    }
    columns |= {
        key: [str(stability.get(one.label, {}).get(key, "")) for one in described]
        for key in STABILITY
    }
    columns["chains"] = [in_brief(one.chains, most=20) for one in described]
    write_table(folder / DESCRIPTION, {key: np.array(value) for key, value in columns.items()})
    ranges = [(one, stretch) for one in described for stretch in one.chains]
    write_table(
        folder / CHAINS,
        {
            "part": np.array([one.label for one, _ in ranges], dtype=np.str_),
            "name": np.array([one.name for one, _ in ranges], dtype=np.str_),
            "chain": np.array([stretch.chain for _, stretch in ranges], dtype=np.str_),
            "first_residue": np.array([stretch.first for _, stretch in ranges], dtype=np.int64),
            "last_residue": np.array([stretch.last for _, stretch in ranges], dtype=np.int64),
        },
    )


def describe_motions(folder: Path, motions: Mapping[str, Mapping[str, Any]]) -> None:
    """Say in description.csv that parts move of which the images tell it and the decoder did not.

    Parameters
    ----------
    folder : Path
        parts/ of a run.
    motions : mapping of "part_1" to what motions.json says of it
    """
    rows = read_description(folder)
    changed = [_moving(row, motions.get(row["part"])) for row in rows]
    if changed != rows:
        columns = {key: np.array([row[key] for row in changed]) for key in changed[0]}
        write_table(folder / DESCRIPTION, columns)


def _moving(row: dict[str, str], motion: Mapping[str, Any] | None) -> dict[str, str]:
    if motion is None or row["kind"] not in ("present/absent", "slight"):
        return row
    moved = float(motion["displacement_rms_angstrom"])
    if moved < DISPLACEMENT_CHANGES_ANGSTROM or not motion["told_by_the_images"]:
        return row
    turns = bool(motion["screw"]["turns"])
    fades = (
        row["kind"] == "present/absent"
        and float(row["amplitude_deviation"]) >= AMPLITUDE_CHANGES_OF_MOVING
    )
    left = float(motion["residual_rms_angstrom"])
    angle = float(motion["signed_angle_degrees"]["deviation"]) if turns else 0.0
    return row | {
        # images were asked for rigid motions alone
        "kind": kind_of(fades=fades, moves=True, rigid=1.0, turning=float(turns)),
        "displacement_angstrom": f"{moved:.4f}",
        "rigid_share": f"{max(1.0 - (left / moved) ** 2, 0.0):.4f}",
        "angle_deviation_degrees": f"{angle:.4f}",
    }


def read_description(folder: Path) -> list[dict[str, str]]:
    """The rows of description.csv; none where it has not been written.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    return _rows(folder / DESCRIPTION)


def read_stability(trust: Path) -> dict[str, dict[str, str]]:
    """What the checks of trust found of each part ("part_1"); empty before they have run.

    Parameters
    ----------
    trust : Path
        The folder trust/ of a run.

    Raises
    ------
    InputError
        If its table cannot be read.
    """
    found = {}
    for row in _rows(trust / "parts.csv"):
        label = row.get("part", "")
        found[f"part_{label}" if label.isdecimal() else label] = {
            key: row[key] for key in STABILITY if row.get(key)
        }
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    return read_rows(path) if path.is_file() else []
