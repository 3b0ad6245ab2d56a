"""`cryoparts simulate`: particles whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from cryoparts.cli.console import progress_bar, say
from cryoparts.cli.options import Flat
from cryoparts.simulation.composition import CompositionOptions, simulate_composition
from cryoparts.simulation.maps import MapsOptions, simulate_maps
from cryoparts.simulation.motion import MotionOptions, simulate_motion
from cryoparts.simulation.options import ImagingOptions

simulate = cyclopts.App(
    name="simulate",
    help="Particles with ground truth: RELION .star and .mrcs, the neutral model, truth.npz.",
)

StructureFile = Annotated[Path, Parameter(help="Structure (.cif, .pdb).")]
MapFiles = Annotated[list[Path], Parameter(help="Density maps (.mrc), two or more.")]
NewFolder = Annotated[Path, Parameter(name=["--output", "-o"], help="Folder to make.")]
Imaging = Annotated[ImagingOptions, Flat]


@simulate.command
def composition(
    structure: StructureFile,
    *,
    output: NewFolder,
    imaging: Imaging = ImagingOptions(),
    options: Annotated[CompositionOptions, Flat] = CompositionOptions(),
) -> None:
    """Segments of a structure come and go, the largest is always there; --couple ties them."""
    with progress_bar("simulating") as shown:
        _done(simulate_composition(structure, output, imaging, options, shown))


@simulate.command
def motion(
    structure: StructureFile,
    *,
    output: NewFolder,
    imaging: Imaging = ImagingOptions(),
    options: Annotated[MotionOptions, Flat] = MotionOptions(),
) -> None:
    """Regions of a structure rotate rigidly about their own axes; --couple ties their angles."""
    with progress_bar("simulating") as shown:
        _done(simulate_motion(structure, output, imaging, options, shown))


@simulate.command
def maps(
    files: MapFiles,
    *,
    output: NewFolder,
    imaging: Imaging = ImagingOptions(),
    options: Annotated[MapsOptions, Flat] = MapsOptions(),
) -> None:
    """Each particle shows one of several density maps."""
    with progress_bar("simulating") as shown:
        _done(simulate_maps(files, output, imaging, options, shown))


def _done(folder: Path) -> None:
    model = next(path for path in sorted(folder.glob("model.*")))
    say(f"{folder}: particles.star, particles.mrcs, {model.name}, truth.npz")
    say(f"next: cryoparts run {folder / 'particles.star'} --model {model} -o RUN")
