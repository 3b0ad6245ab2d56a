"""`cryoparts motion`: the rigid motion of each part in each particle."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from cryoparts.cli.console import progress_bar, say, table
from cryoparts.cli.options import RunFolder
from cryoparts.errors import InputError
from cryoparts.export.motion_arrows import write_motion_arrows
from cryoparts.gaussians.model import GaussianModel
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.io.run_directory import RunDirectory
from cryoparts.motion.motion_files import write_motion_summary, write_part_motion
from cryoparts.motion.rigid_refinement import refine_motion
from cryoparts.motion.run_motion import Frame, RunMotion, measure_motion, summarise
from cryoparts.parts.part_labels import PartLabels
from cryoparts.training.setup import prepare_training, set_threads


def motion(
    run: RunFolder,
    *,
    frame: Annotated[
        Frame,
        Parameter(
            help="core: as seen from the core, whose own motion is undone (a turn of the whole "
            "molecule is an error of the pose); lab: as decoded."
        ),
    ] = "core",
    refine: Annotated[
        bool | None,
        Parameter(
            help="Move the parts as rigid bodies until each particle's image is most probable, "
            "from where the decoder puts them. Default: where training refined latent vectors."
        ),
    ] = None,
) -> None:
    """Fit a rotation and a shift to every part in every particle; find the common axis.

    Writes motion/part_1.csv (a row a particle: axis, angle, shift, and what is not
    rigid), motion/motions.json (mean axis and pivot with uncertainty, screw, angles
    over the particles) and motion/arrows.bild, which ChimeraX draws on the model.
    """
    folder = RunDirectory.open(run)
    with folder.logging():
        folder.require(folder.parts_path, f"cryoparts parts {folder.root}")
        if "position" not in folder.config().training.vary:
            raise InputError(
                str(run),
                "positions did not vary in this run, so nothing in it moves",
                "Train with --vary position, or position and amplitude.",
            )
        measure_run_motion(folder, frame, refine=refine)


def measure_run_motion(
    run: RunDirectory, frame: Frame = "core", *, refine: bool | None = None
) -> None:
    """Write the motion/ folder of a run, if its positions vary and it has parts."""
    config = run.config().training
    if "position" not in config.vary:
        say("positions do not vary, so there is no motion to describe")
        return
    labels = PartLabels.load(run.parts_path)
    if labels.n_parts == 0:
        say("no part changes, so there is no motion to describe")
        return
    set_threads(config.threads)
    trained = TrainedDecoder(run)
    model = GaussianModel.load(run.gaussians_path)
    with progress_bar("motion") as shown:
        measured = measure_motion(
            model,
            labels,
            trained.decode,
            len(trained.particles),
            image=trained.particles.image,
            probability=trained.particle_weights,
            frame=frame,
            seed=config.seed,
            progress=shown,
        )
    if refine is None:
        refine = config.refinement_steps > 0
    if refine:
        setup = prepare_training(run, config)
        with progress_bar("motion, by the images") as shown:
            measured = refine_motion(
                measured,
                labels,
                setup,
                trained.offsets,
                config.vary,
                relative_to_core=frame == "core",
                seed=config.seed,
                progress=shown,
            )
    for part, one in measured.parts.items():
        write_part_motion(run.motion_path, part, trained.particles.names, one)
    write_motion_summary(run.motion_path, summarise(measured, labels, frame))
    write_motion_arrows(run.root)
    _show(measured, labels, frame)


def _show(measured: RunMotion, labels: PartLabels, frame: Frame) -> None:
    rows = []
    for part, one in measured.parts.items():
        screw, there = one.screw, one.motions.take(one.present)
        angles = one.signed_angle_degrees[one.present]
        axis = " ".join(f"{value:+.2f}" for value in screw.axis)
        pivot = " ".join(f"{value:.0f}" for value in screw.pivot)
        rows.append(
            [
                labels.name(part),
                f"{angles.mean():+.1f} ± {angles.std():.1f}°",
                f"{axis} (± {screw.axis_error_degrees:.1f}°)",
                f"{pivot} (± {screw.pivot_error_angstrom:.1f})",
                f"{there.displacement_rms_angstrom.mean():.1f} Å",
                f"{there.residual_rms_angstrom.mean():.1f} Å",
            ]
        )
    header = ["", "angle", "axis", "pivot, Å", "displacement", "not rigid"]
    seen = "as seen from the core" if frame == "core" else "in the frame of the poses"
    table(f"Motion {seen}", header, rows)
