"""Edits of parts in a run folder: recorded, undone, and what they make out of date removed."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_text, write_together
from cryoparts.io.files import reading
from cryoparts.io.tables import load_array, save_array
from cryoparts.parts.part_labels import LABELS, PartLabels

if TYPE_CHECKING:
    from collections.abc import Iterator
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
    "motion/core.csv",
    "parts/masks/core.mrc",
    "composition",
    "coordination",
    "reconstruction/at_rest",
    "trust/parts.csv",
    "evaluation.json",
)
"""Results that look at all parts together, or name them by number."""


REWRITTEN = ("parts/description.csv", "parts/chains.csv", "gaussians.cif")
"""Whoever changes parts describes them anew: removed without a word."""

RECORD = (EDITS, "history/*.npy")
"""Edits by hand, in the folder of the parts."""

ASIDE = ".moving."
"""Begins the names of results on their way to a new number."""


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
    with replaced_parts(run, before, edit.labels, edit.kept) as (new, told):
        write_text(new / EDITS, json.dumps({"edits": edits}, indent=2) + "\n")
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
    forgotten = RECORD if step == 0 else ()
    kept = same_parts(before.labels, after.labels)
    with replaced_parts(run, before, after, kept, forgotten) as (new, told):
        if step:
            write_text(new / EDITS, json.dumps({"edits": edits[:step]}, indent=2) + "\n")
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


def same_parts(before: NDArray[np.int64], after: NDArray[np.int64]) -> dict[int, int]:
    """New number of each old part that has the same Gaussians in both."""
    kept = {}
    for old in range(1, int(before.max(initial=0)) + 1):
        members = before == old
        new = int(after[members][0]) if members.any() else 0
        if new > 0 and np.array_equal(after == new, members):
            kept[old] = new
    return kept


@contextmanager
def replaced_parts(
    run: RunDirectory,
    before: PartLabels | None,
    after: PartLabels,
    kept: dict[int, int],
    forgotten: tuple[str, ...] = (),
) -> Iterator[tuple[Path, Downstream]]:
    """Put other labels in the place of those that are there, with what leans on them.

    Results of parts that changed are removed before the labels are, and those of others are on
    their way to their new number meanwhile: a process that is killed leaves no result beside
    labels of other parts.

    Parameters
    ----------
    run : RunDirectory
    before : PartLabels or None
        As in the folder; None where nothing leans on them, or there are none.
    after : PartLabels
    kept : dict
        New number of each old part that has not changed.
    forgotten : tuple of str
        Files in the folder of the parts that go.

    Yields
    ------
    Path
        Hidden folder of what shall be in parts/ beside the labels.
    Downstream
        What goes and what moves when the block ends.
    """
    changed = before is not None and not np.array_equal(before.labels, after.labels)
    removed, moving = _out_of_date(run, before, kept) if changed and before else ([], [])
    names = [str(path.relative_to(run.root)) for path in removed]
    moved = [f"{old.relative_to(run.root)} -> {new.relative_to(run.root)}" for old, new in moving]
    aside = []
    with write_together(run.parts_path, last=LABELS, replaces=forgotten) as staging:
        after.save(staging)
        yield staging, Downstream(tuple(names), tuple(moved))
        for left in run.root.glob(f"**/{ASIDE}*"):  # by a process that was killed
            _remove(left)
        for path in removed:
            _remove(path)
        for old, new in moving:
            # numbers may change places: first all go, then all come
            on_the_way = old.with_name(f"{ASIDE}{old.name}")
            old.rename(on_the_way)
            aside.append((on_the_way, new))
        if changed or before is None:
            for name in REWRITTEN:
                (run.root / name).unlink(missing_ok=True)
    for on_the_way, new in aside:
        on_the_way.rename(new)


def _out_of_date(
    run: RunDirectory, before: PartLabels, kept: dict[int, int]
) -> tuple[list[Path], list[tuple[Path, Path]]]:
    """Results of parts that changed, and old and new places of those of others."""
    removed, moving = [], []
    for part in range(1, before.n_parts + 1):
        for pattern in (*BY_PART, *FILES_BY_PART):
            path = run.root / pattern.format(k=part)
            if not path.exists():
                continue
            if part not in kept:
                removed.append(path)
            elif kept[part] != part:
                moving.append((path, run.root / pattern.format(k=kept[part])))
    with_numbers = ("focus/part_*+*", "motion/part_*.cif")
    several = sorted(path for glob in with_numbers for path in run.root.glob(glob))
    of_all = (run.root / name for name in OF_ALL_PARTS)
    removed += [path for path in (*of_all, *several) if path.exists()]
    return removed, moving


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
