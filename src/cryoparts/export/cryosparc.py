"""Chosen particles as a cryoSPARC file, to go on with in cryoSPARC."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import numpy as np
import yaml
from cryosparc.dataset import Dataset
from scipy.spatial.transform import Rotation

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically, write_text
from cryoparts.particle_files.row_identity import chosen_rows, copy_names, row_names
from cryoparts.particle_files.symmetry import group_elements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CLASS_FIELDS = [
    ("alignments3D/class", "<u4"),
    ("alignments3D/class_posterior", "<f4"),
    ("alignments3D/class_ess", "<f4"),
]
"""Class of a particle, its probability, and the effective number of classes, as in files of
3D classification and refinement."""

CSG_VERSION = "v4.0.0"
"""First version of cryoSPARC whose results groups have this form."""


def write_selected_cs(
    source: Path,
    names: Iterable[str],
    target: Path,
    symmetry: str | None = None,
    classes: Mapping[str, int] | None = None,
) -> None:
    """Write the rows of the chosen particles of a .cs file as another, all columns kept.

    Rows are found by uid, which is their name (``uid#1``, ``uid#2`` where several rows
    have it); cryoSPARC joins the new file to its own by uid too.

    Where the run has expanded the particles by their symmetry, a row is written for
    every chosen copy, with its pose and, but for the first, a uid of its own; as in files
    of cryoSPARC's Symmetry Expansion, ``sym_expand/src_uid`` keeps the particle's.

    Parameters
    ----------
    source : Path
        The .cs file.
    names : iterable of str
        uids of the rows to keep.
    target : Path
        The new file.
    symmetry : str, optional
        Point group by which the run has expanded the file.
    classes : mapping of str to int, optional
        The class of each of `names`, from 1: ``alignments3D/class`` counts from 0.

    Raises
    ------
    InputError
        If the source is no .cs file or has moved, or one of the particles is not in
        it; then nothing is written.
    """
    cure = "Give the file that the run was made from."
    try:
        whole = Dataset.load(str(source))
        uid = np.asarray(whole["uid"]).astype(np.str_)
    except Exception as fault:  # the library raises many kinds, some of its own
        raise InputError(str(source), f"not a cryoSPARC file: {fault}", cure) from fault
    elements = np.eye(3)[None] if symmetry is None else group_elements(symmetry, "cryosparc")
    copies = copy_names(row_names(uid), len(elements))
    keep = chosen_rows(copies, names, source)
    chosen = (
        whole.mask(keep)
        if symmetry is None
        else _copies(whole, np.flatnonzero(keep), elements, source)
    )
    if classes is not None:
        _classify(chosen, np.array([classes[name] for name in copies[keep]]))
    with write_atomically(target) as temporary:
        chosen.save(str(temporary))


def write_result_group(path: Path, files: Sequence[Path], title: str) -> None:
    """Write a .csg file, by which cryoSPARC's Import Result Group takes .cs files.

    Parameters
    ----------
    path : Path
        The .csg file, beside the .cs files.
    files : sequence of Path
        They have the same columns between them; of a column in several, the first's counts.
    title : str
        What cryoSPARC shows.
    """
    results: dict[str, dict[str, object]] = {}
    for file in files:
        dataset = Dataset.load(str(file))
        for slot in sorted({name.split("/")[0] for name in dataset if "/" in name}):
            results.setdefault(
                slot,
                {
                    "metafile": f">{file.name}",
                    "num_items": len(dataset),
                    "type": f"particle.{slot}",
                },
            )
    content = {
        "created": datetime.datetime.now(tz=datetime.UTC).replace(tzinfo=None),
        "group": {
            "description": f"{title}, chosen with cryoparts",
            "name": "particles",
            "title": title,
            "type": "particle",
        },
        "results": results,
        "version": CSG_VERSION,
    }
    write_text(path, yaml.safe_dump(content, sort_keys=False))


def _classify(chosen: Dataset, numbers: NDArray[np.int64]) -> None:
    """Set the class columns of cryoSPARC's 3D alignments."""
    fields = [f for f in CLASS_FIELDS if f[0] not in chosen]
    if fields:
        chosen.add_fields(fields)
    chosen["alignments3D/class"] = (numbers - 1).astype(np.uint32)
    chosen["alignments3D/class_posterior"] = np.ones(len(numbers), dtype=np.float32)
    chosen["alignments3D/class_ess"] = np.ones(len(numbers), dtype=np.float32)


def _copies(
    whole: Dataset, chosen: NDArray[np.int64], elements: NDArray[np.float64], source: Path
) -> Dataset:
    """Rows for the chosen copies: copy c of row r has the number r n + c."""
    if "alignments3D/pose" not in whole:
        raise InputError(
            str(source),
            "holds no alignments3D/pose, so that copies cannot be given theirs",
            "Use the list of names, or join the passthrough file to it in cryoSPARC first.",
        )
    row, copy = np.divmod(chosen, len(elements))
    copies = Dataset({name: np.asarray(whole[name])[row] for name in whole})
    uid = np.asarray(whole["uid"], dtype=np.uint64)[row]
    pose = np.asarray(whole["alignments3D/pose"])[row]
    # the pose takes the image to the reference: that of R g is g^-1 after it
    turned = Rotation.from_matrix(elements[copy]).inv() * Rotation.from_rotvec(pose)
    copies["alignments3D/pose"] = np.where(copy[:, None] > 0, turned.as_rotvec(), pose).astype(
        pose.dtype
    )
    copies["uid"] = _uid_of_copy(uid, copy.astype(np.uint64))
    copies.add_fields([("sym_expand/idx", "<u4"), ("sym_expand/src_uid", "<u8")])
    copies["sym_expand/idx"] = copy.astype(np.uint32)
    copies["sym_expand/src_uid"] = uid
    return copies


def _uid_of_copy(uid: NDArray[np.uint64], copy: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The particle's uid for its first copy; others from it by the mixing of SplitMix64.

    Steele, Lea & Flood (2014), Fast splittable pseudorandom number generators.
    """
    mixed = uid + copy * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.where(copy > 0, mixed, uid)
