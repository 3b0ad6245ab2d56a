"""`cryoparts edit-parts`: parts changed by hand."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

from cyclopts import Parameter

from cryoparts.cli.analyse.parts import show_parts, tell_downstream
from cryoparts.cli.console import say
from cryoparts.cli.options import RunFolder
from cryoparts.config.steps import Action, EditOptions

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
    from cryoparts.pipeline.editing import check_count, edit_run_parts, edits_so_far
    from cryoparts.run.run import Run

    opened = Run.open(run)
    with opened.directory.logging():
        check_count(action, parts)
        if action == "list":
            _list(edits_so_far(opened))
            return
        edited = edit_run_parts(opened, action, parts, options, shlex.join(sys.argv))
        if edited.told:
            say(edited.told)
        tell_downstream(edited.downstream)
        show_parts(edited.parts)
        if edited.told and edited.downstream.removed:
            say(f"make them again with cryoparts motion, masks, focus, reconstruct {run}")


def _list(edits: list[str]) -> None:
    if not edits:
        say("the parts are as they were found")
    for number, edit in enumerate(edits, start=1):
        say(f"{number}. {edit}")
