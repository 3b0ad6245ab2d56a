"""Atomic models of what was found: a part along its motion, the molecule without a part."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree

from cryoparts.errors import InputError
from cryoparts.export.atomic_file import AtomicFile
from cryoparts.export.atomic_morph import Screw, bond_deviation, find_bonds, morph, ramp
from cryoparts.gaussians.placement import place_in_box
from cryoparts.io.atomic_models import is_structure
from cryoparts.parts.part_chains import FARTHEST_MEDIAN_ANGSTROM, original_box
from cryoparts.pipeline.progress import Progress, silent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from cryoparts.run.run import Run

LOG = logging.getLogger(__name__)

LARGEST_DEVIATION_ANGSTROM = 0.02
"""Root mean square change of the bonds' lengths beyond which a morph is warned of."""


@dataclass(frozen=True)
class Morphed:
    """An atomic model that was written.

    Parameters
    ----------
    path : Path
    models : int
    atoms : int
        Of each model.
    hinge_residues : int
        That are neither all in the part nor all outside.
    bond_deviation_angstrom, largest_angstrom : float
        Root mean square and largest change of a bond's length, over all models.
    """

    path: Path
    models: int
    atoms: int
    hinge_residues: int
    bond_deviation_angstrom: float
    largest_angstrom: float


@dataclass(frozen=True)
class _Placed:
    """A file's atoms in the frame of the run's Gaussians."""

    file: AtomicFile
    offset: NDArray[np.float64]
    gaussian: NDArray[np.int64]

    @property
    def positions(self) -> NDArray[np.float64]:
        return self.file.positions + self.offset


def morph_parts(
    run: Run,
    parts: Sequence[int],
    folder: Path,
    *,
    structure: Path | None = None,
    without: Sequence[int] = (),
    points: int = 11,
    progress: Progress = silent,
) -> tuple[Morphed, ...]:
    """Write the atomic model at points along each part's motion, as models of one mmCIF file.

    Parts move as rigid bodies from the 5% to the 95% quantile of their angles; residues
    where a chain passes into a part bend, their bonds and angles kept.

    Parameters
    ----------
    run : Run
        With motions, unless `parts` is empty.
    parts : sequence of int
    folder : Path
        For ``part_1.cif`` ... or ``without_part_2.cif``.
    structure : Path, optional
        An atomic model that lies over the run's model; default: the run's own.
    without : sequence of int
        Parts whose residues are left out of every model.
    points : int
    progress : callable
        Told how many parts are done.

    Raises
    ------
    InputError
        If there is no atomic model, it does not lie on the Gaussians, or the motions have not
        been measured.
    """
    placed = _placed(run, structure)
    labels = run.parts
    file = placed.file
    absent = np.zeros(int(file.residue.max()) + 1, dtype=bool)
    for part in without:
        absent |= file.residues_in(labels.members(part)[placed.gaussian])
    if absent.all():
        raise InputError("--without", "leaves no residue", "Name fewer parts.")
    folder.mkdir(parents=True, exist_ok=True)
    ending = "".join(f"_without_part_{part}" for part in without)
    if not parts:
        path = folder / f"{ending.removeprefix('_')}.cif"
        file.write(path, file.positions[None], ~absent)
        atoms = int((~absent)[file.residue].sum())
        return (Morphed(path, 1, atoms, 0, 0.0, 0.0),)
    summary = run.motions
    if summary is None:
        raise InputError(str(run.root), "no motions are known", f"cryoparts motion {run.root}")
    made = []
    for number, part in enumerate(parts):
        progress("moving atoms", number, len(parts))
        content = summary["parts"].get(f"part_{part}")
        if content is None:
            raise InputError(f"part_{part}", "its motion is not known", "Run `cryoparts motion`.")
        inside = file.residues_in(labels.members(part)[placed.gaussian])
        path = folder / f"part_{part}{ending}.cif"
        made.append(_morph(placed, inside, content, points, path, ~absent))
    return tuple(made)


def _morph(
    placed: _Placed,
    inside: NDArray[np.bool_],
    content: dict[str, Any],
    points: int,
    path: Path,
    keep: NDArray[np.bool_],
) -> Morphed:
    file = placed.file
    angles = content["signed_angle_degrees"]
    screw = Screw(
        np.array(content["screw"]["axis"]),
        np.array(content["screw"]["pivot_angstrom"]),
        float(content["screw"]["slide_angstrom_per_degree"]),
    )
    bonded = find_bonds(placed.positions, file.radii)
    share = ramp(inside, bonded.links(file.residue))
    degrees = np.linspace(angles["quantile_05"], angles["quantile_95"], points).tolist()
    places = morph(placed.positions, bonded, share[file.residue], screw, degrees)
    changes = [bond_deviation(placed.positions, one, bonded) for one in places]
    deviation = float(np.sqrt(np.mean([rms**2 for rms, _ in changes])))
    largest = max(most for _, most in changes)
    if deviation > LARGEST_DEVIATION_ANGSTROM:
        LOG.warning(
            "%s: bonds change by %.3f Å r.m.s.; the part's border cuts too much of the chain",
            path,
            deviation,
        )
    file.write(path, places - placed.offset, keep)
    atoms = int(keep[file.residue].sum())
    hinges = int(((share > 0) & (share < 1)).sum())
    return Morphed(path, points, atoms, hinges, deviation, largest)


def _placed(run: Run, structure: Path | None) -> _Placed:
    """The atomic model, and the Gaussian that each atom belongs to: the nearest one."""
    path = Path(run.config.model) if structure is None else structure
    if structure is None and not is_structure(path):
        raise InputError(
            f"--model {path}",
            "the run was made from no atomic model",
            "Give one that lies over the run's map with --model.",
        )
    file = AtomicFile.read(path)
    box, pixel = original_box(run.directory)
    origin = run.config.gaussians.model_origin
    placed = place_in_box(file.positions, file.masses, box, pixel, origin=origin, where=str(path))
    offset = placed.positions[0] - file.positions[0]
    distance, nearest = cKDTree(run.model.positions).query(file.positions + offset)
    if float(np.median(distance)) > FARTHEST_MEDIAN_ANGSTROM:
        raise InputError(
            str(path),
            f"its atoms lie {float(np.median(distance)):.0f} Å (median) from the run's Gaussians, "
            f"at most {FARTHEST_MEDIAN_ANGSTROM:g} Å are expected",
            "Give the structure in the frame of the run's model.",
        )
    return _Placed(file, np.asarray(offset), np.asarray(nearest, dtype=np.int64))
