"""Parts changed by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryoparts.config.steps import Action, EditOptions
from cryoparts.errors import InputError
from cryoparts.parts.edit_history import Downstream, apply_edit, read_edits, undo_edits
from cryoparts.parts.part_chains import atoms_of_run, original_box, select_gaussians
from cryoparts.parts.part_editing import Edit, add, members_in_mask, merge, remove, rename, split
from cryoparts.pipeline.parts import PartsFound, describe_run_parts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.run.run import Run

PARTS_TAKEN = {"split": 1, "add": 0, "rename": 2, "remove": 1, "undo": 0, "restore": 0, "list": 0}


@dataclass(frozen=True)
class Edited:
    """What an edit did.

    Parameters
    ----------
    told : str
        In words; empty where edits were taken back.
    downstream : Downstream
        Results that went out of date or were renumbered.
    parts : PartsFound
        The parts as they are now.
    """

    told: str
    downstream: Downstream
    parts: PartsFound


def edits_so_far(run: Run) -> list[str]:
    """Every edit of the parts that were found, in order."""
    run.directory.require(run.directory.parts_path, f"cryoparts parts {run.root}")
    return [str(edit["edit"]) for edit in read_edits(run.directory.parts_path)]


def edit_run_parts(
    run: Run,
    action: Action,
    parts: tuple[str, ...] = (),
    options: EditOptions | None = None,
    command: str = "",
) -> Edited:
    """Merge, split, add, rename or remove parts; take back the last edit, or all.

    Parameters
    ----------
    run : Run
    action : str
        "merge", "split", "add", "rename", "remove", "undo" or "restore".
    parts : tuple of str
        Names or numbers of parts; for rename a part and its new name.
    options : EditOptions, optional
    command : str
        Recorded with the edit.

    Raises
    ------
    InputError
        If parts are unknown, or the action takes another number of them.
    """
    run.directory.require(run.directory.parts_path, f"cryoparts parts {run.root}")
    check_count(action, parts)
    if action in ("undo", "restore"):
        told = undo_edits(run.directory, every=action == "restore")
        return Edited("", told, describe_run_parts(run))
    labels = run.parts
    edit = _edit(run, labels, action, parts, options or EditOptions())
    told = apply_edit(run.directory, labels, edit, command)
    return Edited(edit.told, told, describe_run_parts(run))


def check_count(action: Action, parts: tuple[str, ...]) -> None:
    """Raise InputError unless the action takes as many parts."""
    wanted = PARTS_TAKEN.get(action)
    if wanted is not None and len(parts) != wanted:
        what = {0: "no part", 1: "one part", 2: "a part and its new name"}[wanted]
        raise InputError(
            action,
            f"takes {what}, got {' '.join(parts) or 'none'}",
            "`cryoparts edit-parts --help` has examples.",
        )


def _edit(
    run: Run,
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
        seed = run.training.seed
        return split(labels, part, into=options.into, by=options.by, seed=seed)
    if action == "rename":
        return rename(labels, part, parts[1])
    return remove(labels, part, to_core=options.to == "core")


def _chosen_gaussians(run: Run, options: EditOptions) -> tuple[NDArray[np.bool_], str]:
    if (options.mask is None) == (options.select is None):
        raise InputError("add", "takes either --mask or --select", "Give one of them.")
    model = run.model
    if options.mask is not None:
        box, pixel = original_box(run.directory)
        return members_in_mask(model.positions, options.mask, box * pixel), str(options.mask)
    assert options.select is not None
    atoms = atoms_of_run(run.directory, model, options.structure)
    if atoms is None:
        raise InputError(
            "--select",
            "the run was not made from a structure, so it knows no chains",
            "Give a structure that lies over the model with --structure.",
        )
    return select_gaussians(atoms, options.select, len(model)), options.select
