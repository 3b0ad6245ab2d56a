"""`cryoparts model`: the Gaussian model of a map or an atomic model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cryoparts.cli.console import say
from cryoparts.cli.options import Modelling, OutputFolder
from cryoparts.config import ModelConfig
from cryoparts.errors import InputError

DEFAULT_RESOLUTION_ANGSTROM = 15.0
"""Resolution aimed at, Å, where no particles say how fine they are compared."""


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
    from cryoparts.io.run_directory import require_new_folder
    from cryoparts.pipeline.start import make_model, save_model

    require_new_folder(output)
    box, pixel = _box(file, box_size, pixel_size_angstrom, gaussians.model_pixel_size_angstrom)
    made = make_model(file, gaussians, DEFAULT_RESOLUTION_ANGSTROM, box, pixel, seed, say)
    output.mkdir(parents=True, exist_ok=True)
    save_model(output, made)
    say(
        f"{len(made)} Gaussians, widths {made.widths.min():.1f} to {made.widths.max():.1f} Å: "
        f"{output / 'gaussians.npz'}, {output / 'gaussians.cif'}"
    )


def _box(
    file: Path, box_size: int | None, pixel_size: float | None, voxel_size: float | None
) -> tuple[int, float]:
    from cryoparts.io.mrc import is_map, read_map

    if box_size is not None and pixel_size is not None:
        return box_size, pixel_size
    if is_map(file) and file.is_file():
        density = read_map(file, voxel_size=voxel_size)
        return len(density.density), density.voxel_size
    raise InputError(
        "--box-size, --pixel-size",
        "a structure is placed in the particles' box, whose size is not given",
        "Give both, in pixels and Å.",
    )
