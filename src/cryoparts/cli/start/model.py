"""`cryoparts model`: the Gaussian model of a map or an atomic model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cryoparts.cli.console import say
from cryoparts.cli.options import Modelling, OutputFolder
from cryoparts.config import ModelConfig


def model(
    file: Annotated[Path, Parameter(help="Map (.mrc) or structure (.cif, .pdb).")],
    *,
    output: OutputFolder,
    box_size: int | None = None,
    pixel_size_angstrom: float | None = None,
    seed: int = 0,
    gaussians: Modelling = ModelConfig(),
) -> None:
    """Write gaussians.npz and gaussians.cif, which ChimeraX opens.

    Parameters
    ----------
    file
        Map or structure.
    output
        Folder to make.
    box_size
        Box of the particles, pixels. Needed for a structure.
    pixel_size_angstrom
        Pixel size of the particles, Å. Needed for a structure.
    seed
        Seed of the grouping of atoms or voxels.
    gaussians
        Number and width of the Gaussians.
    """
    from cryoparts.pipeline.checking import write_model

    made = write_model(
        file,
        output,
        gaussians,
        box_size=box_size,
        pixel_size_angstrom=pixel_size_angstrom,
        seed=seed,
        tell=say,
    )
    say(
        f"{len(made)} Gaussians, widths {made.widths.min():.1f} to {made.widths.max():.1f} Å: "
        f"{output / 'gaussians.npz'}, {output / 'gaussians.cif'}"
    )
