"""Arguments that several verbs share, with their help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cryoparts.cli.help import INPUT, MODEL, OUTPUT, PARTS, TRAINING
from cryoparts.config import (
    FocusConfig,
    ModelConfig,
    PartsConfig,
    PreprocessingConfig,
    ReconstructionConfig,
    RunConfig,
    TrainingConfig,
)

ParticlesFile = Annotated[
    Path,
    Parameter(
        help="RELION .star, cryoSPARC .cs, EMAN2 .lst, or a stack with --poses and --ctf.",
        group=INPUT,
    ),
]
ModelFile = Annotated[
    Path,
    Parameter(
        name="--model",
        help="Map (.mrc), structure (.cif, .pdb) or Gaussian model (.npz).",
        group=MODEL,
    ),
]
OutputFolder = Annotated[
    Path, Parameter(name=["--output", "-o"], help="Run folder to make.", group=OUTPUT)
]
RunFolder = Annotated[Path, Parameter(help="Folder of a run.")]
Resume = Annotated[
    bool, Parameter(help="Go on with a run that was interrupted, same options.", group=OUTPUT)
]
Flat = Parameter(name="*")
ON = "no-"
"""Of a switch that is on by default: how it is turned off."""


@dataclass(frozen=True)
class InputOptions:
    """Where the particles' images and metadata are, beyond the particle file itself."""

    datadir: Path | None = None
    """Folder of the image stacks, where they have moved."""

    passthrough: tuple[Path, ...] = ()
    """cryoSPARC passthrough .cs files with the fields that the first lacks."""

    poses: Path | None = None
    """cryoDRGN poses.pkl, for a stack without metadata."""

    ctf: Path | None = None
    """cryoDRGN ctf.pkl, for a stack without metadata."""

    pixel_size_angstrom: float | None = None
    """Pixel size of the images, Å, in place of what the files say."""

    without_ctf: bool = False
    """The images carry no CTF (simulated without one, for example)."""

    selection: Path | None = None
    """Only the particles named in this .csv, for example RUN/selections/x.csv."""

    transpose_poses: bool = False
    """The rotations of the file take the image to the reference: transpose them."""

    mirror_hand: bool = False
    """The file's poses belong to the mirror image of the model: mirror the poses, not
    the model, so that maps and masks of the run lie on the model as given."""

    invert_shifts: bool = False
    """The shifts of the file have the other sign."""

    invert_aberrations: bool = False
    """The antisymmetric aberrations (beam tilt, trefoil) have the other sign."""

    model_axes: str = "x,y,z"
    """How the particles show the model's axes: -x,y,z where the map was mirrored along x,
    z,y,x where it was written with its axes in the other order (write
    --model-axes=-x,y,z). As with --mirror-hand, the poses are changed, not the model."""

    model_shift_angstrom: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """How far from its place the particles show the model, X Y Z, Å. The poses are
    changed, not the model."""

    skip_blank: bool = False
    """Leave out particles whose images are blank, instead of stopping at them."""

    as_given: bool = False
    """Go on although a unit or a convention is clearly wrong."""

    symmetry: str | None = None
    """Point group (C4, D2, T, O, I) by which every particle is expanded: each subunit
    in turn in the place of the first. The model must lie on the group's axes."""


Halves = Annotated[
    bool,
    Parameter(
        negative="",
        help="Train on each half of the particles apart too, in trust/half_1 and half_2: the half "
        "maps of parts at rest are then independent.",
    ),
]
Inputs = Annotated[InputOptions, Parameter(name="*", group=INPUT)]
Preprocessing = Annotated[PreprocessingConfig, Parameter(name="*", group=INPUT, negative_bool=ON)]
Modelling = Annotated[ModelConfig, Parameter(name="*", group=MODEL)]
Training = Annotated[TrainingConfig, Parameter(name="*", group=TRAINING, negative_bool=ON)]
Parting = Annotated[PartsConfig, Parameter(name="*", group=PARTS)]
Focusing = Annotated[FocusConfig, Parameter(name="*", group=PARTS)]
Reconstructing = Annotated[ReconstructionConfig, Parameter(name="*", group=OUTPUT)]


def run_config(
    particles: Path,
    model: Path,
    inputs: InputOptions,
    preprocessing: PreprocessingConfig,
    gaussians: ModelConfig,
    training: TrainingConfig,
    parts: PartsConfig | None = None,
    focus: FocusConfig | None = None,
    reconstruction: ReconstructionConfig | None = None,
) -> RunConfig:
    """The options of a run with every path made absolute, so that it can be resumed anywhere."""

    def absolute(path: Path | None) -> str | None:
        return None if path is None else str(path.resolve())

    return RunConfig(
        particles=str(particles.resolve()),
        model=str(model.resolve()),
        datadir=absolute(inputs.datadir),
        passthrough=tuple(str(path.resolve()) for path in inputs.passthrough),
        poses=absolute(inputs.poses),
        ctf=absolute(inputs.ctf),
        pixel_size_angstrom=inputs.pixel_size_angstrom,
        without_ctf=inputs.without_ctf,
        selection=absolute(inputs.selection),
        transpose_poses=inputs.transpose_poses,
        mirror_hand=inputs.mirror_hand,
        invert_shifts=inputs.invert_shifts,
        invert_aberrations=inputs.invert_aberrations,
        model_axes=inputs.model_axes,
        model_shift_angstrom=inputs.model_shift_angstrom,
        skip_blank=inputs.skip_blank,
        as_given=inputs.as_given,
        symmetry=inputs.symmetry,
        preprocessing=preprocessing,
        gaussians=gaussians,
        training=training,
        parts=parts or PartsConfig(),
        focus=focus or FocusConfig(),
        reconstruction=reconstruction or ReconstructionConfig(),
    )
