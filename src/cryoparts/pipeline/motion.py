"""The rigid motion of each part in each particle."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.config.steps import Frame, MotionOptions
from cryoparts.export.motion_arrows import ARROWS, write_motion_arrows
from cryoparts.export.motion_models import write_motion_models
from cryoparts.export.summary_tables import MOTIONS, write_motions
from cryoparts.io.atomic import write_together
from cryoparts.motion.borders import borders_by_images
from cryoparts.motion.image_modes import modes_by_images
from cryoparts.motion.motion_files import (
    SUMMARY,
    write_core_motion,
    write_motion_summary,
    write_part_motion,
)
from cryoparts.motion.parts_in_images import OfChosen, PartsInImages
from cryoparts.motion.rigid_refinement import refine_motion
from cryoparts.motion.run_motion import RunMotion, measure_motion, summarise
from cryoparts.particles.pose_change import MOVED, pose_change_path
from cryoparts.parts.part_description import describe_motions
from cryoparts.parts.part_labels import numbers_by_size, with_numbers
from cryoparts.pipeline.progress import Progress, counting, silent
from cryoparts.run.result_options import keep_options
from cryoparts.statistics.evenly_spaced import evenly_spaced

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cryoparts.particles.pose_change import PoseChange
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.run.run import Run

LOG = logging.getLogger(__name__)

OWN_FILES = ("part_*.csv", "part_*_angles.npy", "part_*.cif", "core.csv", MOTIONS, ARROWS)

ASKED_OF = 16_384
"""Particles in which parts are measured, to ask some hundred of their images: where a part is at
rest and how it moves on average is known to a hundredth of its motion from as many."""

FEWEST_PARTICLES = 10
"""Fewer have no mean motion whose error could be told."""


@dataclass(frozen=True)
class MotionFound:
    """The motions of a run's parts.

    Parameters
    ----------
    motion : RunMotion
    labels : PartLabels
    frame : {"core", "lab"}
    """

    motion: RunMotion
    labels: PartLabels
    frame: Frame


def find_motion(
    run: Run, options: MotionOptions | None = None, progress: Progress = silent
) -> MotionFound | None:
    """Fit a rotation and a shift to every part in every particle; write motion/.

    Returns
    -------
    MotionFound or None
        None where positions do not vary or there is no part.
    """
    options = options or MotionOptions()
    config, directory = run.training, run.directory
    if "position" not in config.vary or run.parts.n_parts == 0:
        return None
    labels = run.parts
    if len(run.particles) < FEWEST_PARTICLES:
        LOG.warning("%d particles are too few to tell motions", len(run.particles))
        return None
    everyone = np.arange(len(run.particles))
    measured = _as_decoded(run, labels, options.frame, counting(progress, "motion"), everyone)
    refine = config.refinement_steps > 0 if options.refine is None else options.refine
    if refine:
        measured = refine_motion(
            measured,
            labels,
            run.setup,
            run.decoder.offsets,
            config.vary,
            relative_to_core=options.frame == "core",
            seed=config.seed,
            progress=counting(progress, "motion, by the images"),
        )
    _keep_poses(run, measured.pose_change)
    with write_together(directory.motion_path, last=SUMMARY, replaces=OWN_FILES) as new:
        for part, one in measured.parts.items():
            write_part_motion(new, part, run.particles.names, one)
        if measured.core is not None:
            write_core_motion(new, run.particles.names, measured.core)
        keep_options(new, options)
        summary = summarise(measured, labels, options.frame)
        write_motions(new, summary)
        write_motion_summary(new, summary)
    if refine:
        describe_motions(directory.parts_path, summary["parts"])
    write_motion_arrows(directory.root)
    write_motion_models(directory.root)
    return MotionFound(measured, labels, options.frame)


def _keep_poses(run: Run, change: PoseChange | None) -> None:
    """Save the poses that were found with the motions, or forget those of an earlier time."""
    path = pose_change_path(run.directory.particles_path, MOVED)
    if change is None:
        path.unlink(missing_ok=True)
    else:
        change.save(path)
    run.forget_poses()


@dataclass(frozen=True)
class PartsByImages:
    """What the images say of parts, whatever the decoder says.

    Parameters
    ----------
    labels : PartLabels
        With Gaussians at the borders where they move.
    moving : frozenset of int
        Parts that move.
    fading : frozenset of int
        Parts that are now there and now not.
    """

    labels: PartLabels
    moving: frozenset[int] = frozenset()
    fading: frozenset[int] = frozenset()

    def with_borders(self, labels: NDArray[np.int64]) -> PartsByImages:
        """The same parts with these Gaussians (N,), numbered by falling size; empty ones are none.

        Parts that move or fade are not to be empty.
        """
        numbers = numbers_by_size(labels)
        return PartsByImages(
            replace(self.labels, labels=with_numbers(labels, numbers), names=()),
            frozenset(int(numbers[part]) for part in self.moving),
            frozenset(int(numbers[part]) for part in self.fading),
        )


def ask_images(run: Run, labels: PartLabels, progress: Progress = silent) -> PartsByImages:
    """Which parts move, and where their borders are.

    At most `ASKED_OF` particles are decoded; a sample of their images is asked.

    Parameters
    ----------
    run : Run
    labels : PartLabels
        With the parts that are asked about; they need not be the run's.
    progress : callable
    """
    images = _parts_in_images(run, labels, progress)
    if images is None:
        return PartsByImages(labels)
    modes = modes_by_images(images)
    progress("parts: their borders", 0, 0)
    borders = borders_by_images(images, modes)
    return PartsByImages(replace(labels, labels=borders), frozenset(modes))


def moving_parts(run: Run, labels: PartLabels, progress: Progress = silent) -> frozenset[int]:
    """Which parts move by the images, as `ask_images` has it; borders stay as they are."""
    images = _parts_in_images(run, labels, progress)
    return frozenset() if images is None else frozenset(modes_by_images(images))


def _parts_in_images(run: Run, labels: PartLabels, progress: Progress) -> PartsInImages | None:
    """The parts where the networks see them; None where no motion can be told."""
    vary = run.training.vary
    if "position" not in vary or len(run.particles) < FEWEST_PARTICLES or not labels.n_parts:
        return None
    rows = evenly_spaced(np.arange(len(run.particles)), ASKED_OF)
    progress("parts: which ones move", 0, 0)
    decoded = _as_decoded(run, labels, "core", counting(progress, "parts: which ones move"), rows)
    return PartsInImages(
        decoded, labels, run.setup, run.decoder.offsets, vary, relative_to_core=True, rows=rows
    )


def _as_decoded(
    run: Run,
    labels: PartLabels,
    frame: Frame,
    progress: Callable[[int, int], None],
    rows: NDArray[np.int64],
) -> RunMotion:
    """In the particles `rows`."""
    return measure_motion(
        run.model,
        labels,
        OfChosen(run.decoder.decode, rows),
        len(rows),
        mean_displacement=run.decoder.mean_displacement().double().cpu().numpy(),
        image=run.particles.image[rows],
        probability=run.particle_weights[rows],
        frame=frame,
        seed=run.training.seed,
        progress=progress,
    )
