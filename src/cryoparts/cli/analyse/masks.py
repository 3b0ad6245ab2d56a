"""`cryoparts masks`: a soft mask of each part."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import say
from cryoparts.cli.options import RunFolder
from cryoparts.config.steps import MaskOptions

if TYPE_CHECKING:
    from cryoparts.pipeline.outputs import MasksWritten

Masking = Annotated[MaskOptions, Parameter(name="*")]


def masks(run: RunFolder, *, options: Masking = MaskOptions()) -> None:
    """Write parts/masks/part_1.mrc, ..., and core.mrc, for RELION and cryoSPARC.

    By default in the box and pixel size of the original particles: 1 around the
    part's Gaussians, falling to 0 along a cosine.
    """
    from cryoparts.pipeline.outputs import write_masks
    from cryoparts.run.run import Run

    opened = Run.open(run)
    with opened.directory.logging():
        show_masks(write_masks(opened, options))


def show_masks(written: MasksWritten | None) -> None:
    """Say where the masks are."""
    if written is None:
        say("no part changes, so there are no masks to make")
        return
    say(
        f"{len(written.files)} masks of {written.box_size} px at "
        f"{written.pixel_size_angstrom:.4g} Å: {written.files[0].parent}"
    )
