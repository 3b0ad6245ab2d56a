"""`cryoparts simulate`: particles whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from cryoparts.cli.console import progress_bar, say
from cryoparts.cli.help import epilogue
from cryoparts.cli.options import Flat
from cryoparts.simulation.nuisances.options import Nuisances
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import (
    BendOptions,
    BothOptions,
    CompositionOptions,
    MapsOptions,
    MotionOptions,
)

simulate = cyclopts.App(
    name="simulate",
    help="Particles with ground truth: RELION .star and .mrcs, the neutral model, truth.npz.",
    help_epilogue=epilogue("simulate"),
)

StructureFile = Annotated[Path, Parameter(help="Structure (.cif, .pdb).")]
MapFiles = Annotated[list[Path], Parameter(help="Density maps (.mrc), two or more.")]
NewFolder = Annotated[Path, Parameter(name=["--output", "-o"], help="Folder to make.")]
Imaging = Annotated[ImagingOptions, Flat]
Wrong = Annotated[Nuisances, Flat]
Consensus = Annotated[
    bool,
    Parameter(
        help="Also the map that a user would have: back-projected with the given poses, half maps.",
    ),
]


@simulate.command
def composition(
    structure: StructureFile,
    *,
    output: NewFolder,
    imaging: Imaging = ImagingOptions(),
    options: Annotated[CompositionOptions, Flat] = CompositionOptions(),
    nuisances: Wrong = Nuisances(),
    consensus: Consensus = False,
) -> None:
    """Segments of a structure come and go, the largest is always there; --couple ties them."""
    _simulate(structure, output, options, imaging, nuisances, consensus=consensus)


@simulate.command
def motion(
    structure: StructureFile,
    *,
    output: NewFolder,
    imaging: Imaging = ImagingOptions(),
    options: Annotated[MotionOptions, Flat] = MotionOptions(),
    nuisances: Wrong = Nuisances(),
    consensus: Consensus = False,
) -> None:
    """Regions of a structure rotate rigidly about their own axes; --couple ties their angles."""
    _simulate(structure, output, options, imaging, nuisances, consensus=consensus)


@simulate.command
def bend(
    structure: StructureFile,
    *,
    output: NewFolder,
    imaging: Imaging = ImagingOptions(),
    options: Annotated[BendOptions, Flat] = BendOptions(),
    nuisances: Wrong = Nuisances(),
    consensus: Consensus = False,
) -> None:
    """A structure bends smoothly along its longest axis: nothing of it moves rigidly."""
    _simulate(structure, output, options, imaging, nuisances, consensus=consensus)


@simulate.command
def both(
    structure: StructureFile,
    *,
    output: NewFolder,
    imaging: Imaging = ImagingOptions(),
    options: Annotated[BothOptions, Flat] = BothOptions(),
    nuisances: Wrong = Nuisances(),
    consensus: Consensus = False,
) -> None:
    """Segments of a structure turn (--move), come and go (--vanish), or both."""
    _simulate(structure, output, options, imaging, nuisances, consensus=consensus)


@simulate.command
def maps(
    files: MapFiles,
    *,
    output: NewFolder,
    imaging: Imaging = ImagingOptions(),
    options: Annotated[MapsOptions, Flat] = MapsOptions(),
    nuisances: Wrong = Nuisances(),
    consensus: Consensus = False,
) -> None:
    """Each particle shows one of several density maps."""
    _simulate(files, output, options, imaging, nuisances, consensus=consensus)


def _simulate(
    source: Path | list[Path],
    folder: Path,
    options: CompositionOptions | MotionOptions | BendOptions | BothOptions | MapsOptions,
    imaging: ImagingOptions,
    nuisances: Nuisances,
    *,
    consensus: bool,
) -> None:
    """Make the data set; say what is in it and what comes next."""
    from cryoparts.pipeline.simulation import CONSENSUS_FILE
    from cryoparts.pipeline.simulation import simulate as simulate_data

    with progress_bar("simulating") as shown:
        simulate_data(
            source,
            folder,
            options,
            imaging=imaging,
            nuisances=nuisances,
            consensus=consensus,
            progress=shown,
        )
    model = next(path for path in sorted(folder.glob("model.*")))
    has_map = (folder / CONSENSUS_FILE).exists()
    also = f", {CONSENSUS_FILE} and its half maps" if has_map else ""
    say(f"{folder}: particles.star, particles.mrcs, {model.name}, truth.npz{also}")
    chosen = folder / CONSENSUS_FILE if has_map else model
    say(f"next: cryoparts run {folder / 'particles.star'} --model {chosen} -o RUN")
