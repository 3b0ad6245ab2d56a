"""`cryoparts masks`: a soft mask of each part."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from cryoparts.cli.console import say
from cryoparts.cli.options import RunFolder
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.run_directory import RunDirectory
from cryoparts.parts.part_chains import original_box
from cryoparts.parts.part_labels import PartLabels
from cryoparts.parts.part_masks import MaskOptions, write_part_masks

Masking = Annotated[MaskOptions, Parameter(name="*")]


def masks(run: RunFolder, *, options: Masking = MaskOptions()) -> None:
    """Write parts/masks/part_1.mrc, ..., and core.mrc, for RELION and cryoSPARC.

    By default in the box and pixel size of the original particles: 1 around the
    part's Gaussians, falling to 0 along a cosine.
    """
    folder = RunDirectory.open(run)
    with folder.logging():
        folder.require(folder.parts_path, f"cryoparts parts {folder.root}")
        write_masks(folder, options)


def write_masks(run: RunDirectory, options: MaskOptions) -> None:
    """Write the masks of a run's parts and say where they are."""
    labels = PartLabels.load(run.parts_path)
    if labels.n_parts == 0:
        say("no part changes, so there are no masks to make")
        return
    box, pixel = original_box(run)
    model = GaussianModel.load(run.gaussians_path)
    written = write_part_masks(run.masks_path, model, labels, box, pixel, options)
    shown_box = options.box_size or box
    shown_pixel = options.pixel_size_angstrom or pixel
    say(f"{len(written)} masks of {shown_box} px at {shown_pixel:.4g} Å: {run.masks_path}")
