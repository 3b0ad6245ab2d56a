"""`cryoparts motion`: the rigid motion of each part in each particle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import progress_bars, say, table
from cryoparts.cli.options import RunFolder
from cryoparts.config.steps import Frame, MotionOptions
from cryoparts.errors import InputError

if TYPE_CHECKING:
    from cryoparts.pipeline.motion import MotionFound

UNTOLD = "images tell none"


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
            negative="--no-refine",
            help="Move the parts as rigid bodies until each particle's image is most probable, "
            "from where the decoder puts them. Default: where training refined latent vectors.",
        ),
    ] = None,
) -> None:
    """Fit a rotation and a shift to every part in every particle; find the common axis.

    Writes motion/part_1.csv (a row a particle: axis, angle, shift, and what is not
    rigid), motion/motions.json (mean axis and pivot with uncertainty, screw, angles
    over the particles) and motion/arrows.bild, which ChimeraX draws on the model.
    """
    from cryoparts.pipeline.motion import find_motion
    from cryoparts.run.run import Run

    opened = Run.open(run)
    with opened.directory.logging():
        if "position" not in opened.training.vary:
            raise InputError(
                str(run),
                "positions did not vary in this run, so nothing in it moves",
                "Train with --vary position, or position and amplitude.",
            )
        with progress_bars() as progress:
            found = find_motion(opened, MotionOptions(frame, refine), progress)
        show_motion(found)


def show_motion(found: MotionFound | None) -> None:
    """A table of the parts' axes and angles."""
    if found is None:
        say("nothing moves: positions do not vary, or no part changes")
        return
    measured, labels, frame = found.motion, found.labels, found.frame
    rows = []
    for part, one in measured.parts.items():
        if not one.told:
            rows.append([labels.name(part), UNTOLD, "", "", "", ""])
            continue
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
