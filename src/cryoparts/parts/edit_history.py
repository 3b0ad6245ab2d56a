"""Edits of parts in a run folder: recorded, undone, and what they make out of date removed."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_text
from cryoparts.io.files import reading
from cryoparts.io.tables import load_array, save_array
from cryoparts.parts.part_labels import PartLabels

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.parts.part_editing import Edit

EDITS = "edits.json"
BY_PART = ("focus/part_{k}", "reconstruction/part_{k}")
FILES_BY_PART = (
    "motion/part_{k}.csv",
    "motion/part_{k}_angles.npy",
    "parts/masks/part_{k}.mrc",
)
OF_ALL_PARTS = (
    "motion/motions.json",
    "motion/motions.csv",
    "motion/arrows.bild",
    "parts/masks/core.mrc",
    "composition",
    "coordination",
    "trust/parts.csv",
    "evaluation.json",
)
"""Results that look at all parts together, or name them by number."""


REWRITTEN = ("parts/description.csv", "parts/chains.csv")
"""Whoever changes parts describes them anew: removed without a word."""


@dataclass(frozen=True)
class Downstream:
    """What an edit did to results that were there.

    Parameters
    ----------
    removed : tuple of str
        Out of date and taken away, relative to the run folder.
    moved : tuple of str
        Kept under a new number, as ``old -> new``.
    """

    removed: tuple[str, ...]
    moved: tuple[str, ...]


def apply_edit(run: RunDirectory, before: PartLabels, edit: Edit, command: str) -> Downstream:
    """Save edited labels, record the edit, and remove what it makes out of date.

    Parameters
    ----------
    run : RunDirectory
    before : PartLabels
        As in the run folder now.
    edit : Edit
    command : str
        How the user asked for it.
    """
    folder = run.parts_path
    edits = read_edits(folder)
    kept = folder / "history" / f"labels_{len(edits)}.npy"
    kept.parent.mkdir(exist_ok=True)
    save_array(kept, before.labels)
    edits.append(
        {
            "edit": edit.told,
            "command": command,
            "names_before": list(before.names),
            "new_number_of_unchanged_parts": {str(k): v for k, v in edit.kept.items()},
        }
    )
    changed = not np.array_equal(before.labels, edit.labels.labels)
    told = bring_up_to_date(run, before, edit.kept) if changed else Downstream((), ())
    edit.labels.save(folder)
    write_text(folder / EDITS, json.dumps({"edits": edits}, indent=2) + "\n")
    return told


def undo_edits(run: RunDirectory, *, every: bool) -> Downstream:
    """Take back the last edit, or every one: then the parts are those that were found.

    Raises
    ------
    InputError
        If there is no edit.
    """
    folder = run.parts_path
    edits = read_edits(folder)
    if not edits:
        raise InputError(
            str(folder), "there is no edit to take back", "The parts are as they were found."
        )
    step = 0 if every else len(edits) - 1
    before = PartLabels.load(folder)
    labels = load_array(folder / "history" / f"labels_{step}.npy").astype(np.int64)
    after = replace(before, labels=labels, names=tuple(edits[step]["names_before"]))
    kept = same_parts(before.labels, after.labels)
    changed = not np.array_equal(before.labels, after.labels)
    told = bring_up_to_date(run, before, kept) if changed else Downstream((), ())
    after.save(folder)
    if step == 0:
        forget_edits(folder)
    else:
        write_text(folder / EDITS, json.dumps({"edits": edits[:step]}, indent=2) + "\n")
    return told


def read_edits(folder: Path) -> list[dict[str, Any]]:
    """The edits made so far, oldest first.

    Raises
    ------
    InputError
        If edits.json is damaged.
    """
    path = folder / EDITS
    if not path.exists():
        return []
    with reading(path, "a list of edits", "Find the parts again: `cryoparts parts`."):
        return [dict(edit) for edit in json.loads(path.read_text(encoding="utf-8"))["edits"]]


def forget_edits(folder: Path) -> None:
    """Remove the record: the parts were found anew."""
    (folder / EDITS).unlink(missing_ok=True)
    shutil.rmtree(folder / "history", ignore_errors=True)


def same_parts(before: NDArray[np.int64], after: NDArray[np.int64]) -> dict[int, int]:
    """New number of each old part that has the same Gaussians in both."""
    kept = {}
    for old in range(1, int(before.max(initial=0)) + 1):
        members = before == old
        new = int(after[members][0]) if members.any() else 0
        if new > 0 and np.array_equal(after == new, members):
            kept[old] = new
    return kept


def bring_up_to_date(run: RunDirectory, before: PartLabels, kept: dict[int, int]) -> Downstream:
    """Remove the results of parts that changed; those of others move to their new number."""
    removed, moving = [], []
    for part in range(1, before.n_parts + 1):
        for pattern in (*BY_PART, *FILES_BY_PART):
            path = run.root / pattern.format(k=part)
            if not path.exists():
                continue
            if part not in kept:
                _remove(path)
                removed.append(pattern.format(k=part))
            elif kept[part] != part:
                # aside first: numbers may change places
                aside = path.with_name(f".moving.{path.name}")
                path.rename(aside)
                moving.append((aside, pattern, part))
    for aside, pattern, part in moving:
        aside.rename(run.root / pattern.format(k=kept[part]))
    with_numbers = ("focus/part_*+*", "motion/part_*.cif")
    several = [str(p.relative_to(run.root)) for g in with_numbers for p in run.root.glob(g)]
    for name in (*OF_ALL_PARTS, *sorted(several)):
        if (run.root / name).exists():
            _remove(run.root / name)
            removed.append(name)
    for name in REWRITTEN:
        (run.root / name).unlink(missing_ok=True)
    moved = [f"{p.format(k=part)} -> {p.format(k=kept[part])}" for _, p, part in moving]
    return Downstream(tuple(removed), tuple(moved))


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
