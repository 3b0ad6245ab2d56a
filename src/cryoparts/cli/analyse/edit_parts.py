"""`cryoparts edit-parts`: parts changed by hand."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from cyclopts import Parameter
from numpy.typing import NDArray

from cryoparts.cli.analyse.parts import describe_run, tell_downstream
from cryoparts.cli.console import say
from cryoparts.cli.options import RunFolder
from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.run_directory import RunDirectory
from cryoparts.parts.edit_history import apply_edit, read_edits, undo_edits
from cryoparts.parts.part_chains import atoms_of_run, original_box, select_gaussians
from cryoparts.parts.part_editing import (
    Edit,
    SplitBy,
    add,
    members_in_mask,
    merge,
    remove,
    rename,
    split,
)
from cryoparts.parts.part_labels import PartLabels

Action = Literal["merge", "split", "add", "rename", "remove", "undo", "restore", "list"]
PARTS_TAKEN = {"split": 1, "add": 0, "rename": 2, "remove": 1, "undo": 0, "restore": 0, "list": 0}


@dataclass(frozen=True)
class EditOptions:
    """How parts are edited."""

    name: str | None = None
    """merge, add: name of the part."""

    into: int = 2
    """split: number of pieces."""

    by: SplitBy = "change"
    """split: Gaussians that change alike (change) or lie near each other (place)."""

    mask: Path | None = None
    """add: map (.mrc) in the box of the particles; the part is where it exceeds 0.5."""

    select: str | None = None
    """add: chains and residues, like A, or A:391-646,B."""

    structure: Path | None = None
    """add: structure for --select. Default: the one that the run was made from."""

    to: Literal["core", "unassigned"] = "core"
    """remove: what becomes of the part's Gaussians."""


Editing = Annotated[EditOptions, Parameter(name="*")]


def edit_parts(
    run: RunFolder, action: Action, *parts: str, options: Editing = EditOptions()
) -> None:
    """Merge, split, add, rename or remove parts; undo the last edit, restore what was found.

    merge RUN part_1 part_3 ... joins parts (core is one too); split PART; add with
    --mask or --select; rename PART NAME; remove PART. Edits are recorded in
    parts/edits.json. States, maps and motions of parts that change are removed:
    make them again with focus, reconstruct, motion and masks.

    Parameters
    ----------
    action
        What to do.
    parts
        Names or numbers of parts; for rename a part and its new name.
    """
    folder = RunDirectory.open(run)
    with folder.logging():
        folder.require(folder.parts_path, f"cryoparts parts {folder.root}")
        _check_count(action, parts)
        if action == "list":
            _list(folder)
        elif action in ("undo", "restore"):
            tell_downstream(undo_edits(folder, every=action == "restore"))
            describe_run(folder)
        else:
            labels = PartLabels.load(folder.parts_path)
            edit = _edit(folder, labels, action, parts, options)
            told = apply_edit(folder, labels, edit, shlex.join(sys.argv))
            say(edit.told)
            tell_downstream(told)
            describe_run(folder)
            if told.removed:
                say(f"make them again with cryoparts motion, masks, focus, reconstruct {run}")


def _check_count(action: Action, parts: tuple[str, ...]) -> None:
    wanted = PARTS_TAKEN.get(action)
    if wanted is not None and len(parts) != wanted:
        what = {0: "no part", 1: "one part", 2: "a part and its new name"}[wanted]
        raise InputError(
            action,
            f"takes {what}, got {' '.join(parts) or 'none'}",
            "`cryoparts edit-parts --help` has examples.",
        )


def _edit(
    run: RunDirectory,
    labels: PartLabels,
    action: Action,
    parts: tuple[str, ...],
    options: EditOptions,
) -> Edit:
    if action == "merge":
        chosen = [0 if name == "core" else labels.part_number(name) for name in parts]
        return merge(labels, chosen, options.name)
    if action == "add":
        members, origin = _chosen_gaussians(run, options)
        return add(labels, members, options.name, origin)
    part = labels.part_number(parts[0])
    if action == "split":
        seed = run.config().training.seed
        return split(labels, part, into=options.into, by=options.by, seed=seed)
    if action == "rename":
        return rename(labels, part, parts[1])
    return remove(labels, part, to_core=options.to == "core")


def _chosen_gaussians(run: RunDirectory, options: EditOptions) -> tuple[NDArray[np.bool_], str]:
    if (options.mask is None) == (options.select is None):
        raise InputError("add", "takes either --mask or --select", "Give one of them.")
    model = GaussianModel.load(run.gaussians_path)
    if options.mask is not None:
        box, pixel = original_box(run)
        return members_in_mask(model.positions, options.mask, box * pixel), str(options.mask)
    assert options.select is not None
    atoms = atoms_of_run(run, model, options.structure)
    if atoms is None:
        raise InputError(
            "--select",
            "the run was not made from a structure, so it knows no chains",
            "Give a structure that lies over the model with --structure.",
        )
    return select_gaussians(atoms, options.select, len(model)), options.select


def _list(run: RunDirectory) -> None:
    edits = read_edits(run.parts_path)
    if not edits:
        say("the parts are as they were found")
    for number, edit in enumerate(edits, start=1):
        say(f"{number}. {edit['edit']}")
