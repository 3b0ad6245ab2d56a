"""Before anything is trained: units, plausibility, blank images, conventions.

Nothing here prints: what is wrong beyond doubt is an error (unless the user says
``--as-given``), what is unusual is handed back.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.image_model.geometry import AS_GIVEN, SAMPLE, GeometryCheck, check_geometry
from cryoparts.particle_files.mending import Mending
from cryoparts.particle_files.plausibility import Finding, implausible
from cryoparts.particles.blank_images import blank_rows
from cryoparts.particles.preprocessing import prepare
from cryoparts.pipeline.working_box import box_of
from cryoparts.seeds import Purpose, random_for
from cryoparts.statistics.by_image import with_all_rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cryoparts.config import RunConfig
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.image_model.losses import Band
    from cryoparts.image_model.scale_check import ScaleCheck
    from cryoparts.image_model.shift_check import ShiftCheck
    from cryoparts.particle_files.particle_table import ParticleTable
    from cryoparts.particles.particle_set import ParticleSet
    from cryoparts.particles.prepared import PreparedParticles
    from cryoparts.reconstruction.map_check import MapCheck

GO_ON = "Or give --as-given to go on all the same."
SAME_SIDE = 0.02
"""Relative difference of side lengths from which on a map is not of the particles' box."""
LARGEST_FADING = 3.0
"""Of the model's detail beside the particles' (`MapCheck`): 0.7 to 1.8 of structures and consensus
maps, whatever their box, 4.9 of one filtered to 20 Å, 13 of one filtered to 30 Å."""

LARGEST_SHARE_OUTSIDE = 0.05
"""Of the particles' density: up to 0.025 of structures, masked and noisy maps, 0.1 to 0.2 of maps
whose masks cut parts off."""

WORTH_A_SAMPLE = 5000
"""From so many particles on, a sample is compared with the model before all are read."""


@dataclass(frozen=True)
class Agreement:
    """How particles agree with the model, with the contrast as it was found or given."""

    check: GeometryCheck
    prepared: PreparedParticles


def mending_of(config: RunConfig) -> Mending:
    """The conventions that the options change."""
    return Mending(
        config.transpose_poses,
        config.mirror_hand,
        config.invert_shifts,
        config.invert_aberrations,
        config.model_axes,
        config.model_shift_angstrom,
    )


def require_plausible(table: ParticleTable, *, as_given: bool) -> tuple[Finding, ...]:
    """What is unusual in the particle file; raises what cannot be right.

    Raises
    ------
    InputError
        Unless `as_given`, with every value that cannot be right.
    """
    findings = implausible(table)
    wrong = [finding for finding in findings if finding.certain]
    if wrong and not as_given:
        first, *others = wrong
        also = "".join(f"; also {finding.line}" for finding in others)
        raise InputError(
            str(table.source), f"{first.what}: {first.rule}{also}", f"{first.cure} {GO_ON}"
        )
    return findings


def convention_problem(check: GeometryCheck, config: RunConfig) -> Finding | None:
    """What is clearly wrong about hand, rotations, shifts, aberrations or contrast."""
    frc, error = check.frc, check.standard_error
    if check.clearly_wrong:
        given, best = mending_of(config), check.mending
        wanted = given.combined(best)
        if wanted == Mending():
            cure = f"Leave out {given.options}."
        elif given == Mending():
            cure = f"Give {wanted.options}."
        else:
            cure = f"Give {wanted.options} instead of {given.options}."
        return Finding(
            f"conventions, FRC {frc[AS_GIVEN]:.4f} ± {error[AS_GIVEN]:.4f} with the model as given",
            f"{frc[check.best]:.4f} ± {error[check.best]:.4f} with another: {check.best}",
            cure,
            certain=True,
        )
    if check.odd_aberrations_are_reversed:
        option = "--invert-aberrations"
        return Finding(
            f"odd aberrations (beam tilt, trefoil), FRC {frc[AS_GIVEN]:.4f} as given",
            f"{check.odd_gain:.4f} ± {check.odd_gain_error:.4f} higher with the other sign",
            f"Leave out {option}." if config.invert_aberrations else f"Give {option}.",
        )
    if check.contrast_is_inverted:
        return Finding(
            f"contrast {config.preprocessing.contrast}, FRC {frc[check.best]:.4f} ± "
            f"{error[check.best]:.4f} with the model",
            "positive where protein is bright or dark as said",
            "Give --contrast auto, or the other one.",
            certain=True,
        )
    return None


def scale_problem(scale: ScaleCheck, table: ParticleTable) -> Finding | None:
    """What the particles say of the model's size, if it is clearly another."""
    if not scale.clear:
        return None
    pixel = float(np.median(table.pixel_size_angstrom))
    # a model that must grow has too small a voxel, or the particles too large a pixel
    return Finding(
        f"pixel size {pixel:.4g} Å, FRC {scale.frc:.4f} with the model",
        f"{scale.best_frc:.4f} with the model {100 * abs(scale.factor - 1):.0f}% "
        f"{'larger' if scale.factor > 1 else 'smaller'}, so that of particles or model is off",
        f"Find out which: give --pixel-size {pixel / scale.factor:.4g}, or "
        f"--model-pixel-size {scale.factor:.2f} times that of the map.",
    )


def shift_problem(found: ShiftCheck, config: RunConfig) -> Finding | None:
    """What the particles say of the model's place, if it is clearly another."""
    if not found.clear:
        return None
    x, y, z = found.shift_angstrom.round(1).tolist()
    told = f"({x:g}, {y:g}, {z:g}) Å"
    wanted = mending_of(config).combined(Mending(model_shift_angstrom=(x, y, z)))
    instead = " instead" if any(config.model_shift_angstrom) else ""
    return Finding(
        f"place of the model, FRC {found.frc:.4f} where it is given",
        f"{found.best_frc:.4f} with the model moved by {told}: cut, padded or mirrored otherwise "
        "than the particles' own map",
        f"Give {wanted.shift_option}{instead}, or a model that lies on the particles' map.",
    )


def map_problems(found: MapCheck) -> list[Finding]:
    """What the particles' own map has that the model has not."""
    problems = []
    if found.fades > LARGEST_FADING:
        at = f"{found.resolution_angstrom:.2g} Å"
        problems.append(
            Finding(
                f"detail of the model, {found.fades:.1f} times weaker at {at} than that of the "
                "particles' own map",
                f"usually at most {LARGEST_FADING:g} times: filtered to a lower resolution than "
                "the particles have",
                "Give the map as it was before it was filtered, or sharpened.",
            )
        )
    if found.outside > LARGEST_SHARE_OUTSIDE:
        problems.append(
            Finding(
                f"density of the particles' own map where the model has none, "
                f"{100 * found.outside:.0f}%",
                f"usually less than {100 * LARGEST_SHARE_OUTSIDE:.0f}%: cut off by a mask, not "
                "built, or a micelle; what the model lacks cannot be found to change",
                "Give a map with a wider mask or none, or a model that is complete.",
            )
        )
    return problems


def map_size_problem(shape: tuple[int, ...], voxel: float, table: ParticleTable) -> Finding | None:
    """What is unusual about a map's voxels and side length beside the particles'."""
    box, pixel = box_of(table)
    side, extent = max(shape) * voxel, box * pixel
    if abs(side / extent - 1) <= SAME_SIDE:
        return None
    told = f"{max(shape)} voxels of {voxel:.4g} Å, {box} pixels of {pixel:.4g} Å in the particles"
    if max(shape) == box:
        cure = f"Give --model-pixel-size {pixel:.4g} if the map has the particles' pixels."
    else:
        cure = "Right only if the map was cropped or padded: else give --model-pixel-size."
    return Finding(f"model map, side {side:.4g} Å ({told})", f"usually {extent:.4g} Å", cure)


def require_conventions(check: GeometryCheck, config: RunConfig) -> Finding | None:
    """What is clearly wrong about the conventions, where the user wants to go on.

    Raises
    ------
    InputError
        If a convention is clearly wrong and the user has not said ``--as-given``.
    """
    problem = convention_problem(check, config)
    if problem is not None and problem.certain and not config.as_given:
        raise InputError(
            config.particles, f"{problem.what}; {problem.rule}", f"{problem.cure} {GO_ON}"
        )
    return problem


def agreement(
    prepared: PreparedParticles, model: GaussianModel, band: Band, config: RunConfig
) -> Agreement:
    """Compare working images with the model; where the contrast is not given, it may turn."""
    seed = config.training.seed
    check = check_geometry(prepared, model, band, seed)
    if config.preprocessing.contrast == "auto" and check.contrast_is_inverted:
        prepared = prepared.with_contrast_sign(-prepared.contrast_sign)
        check = check_geometry(prepared, model, band, seed)
    return Agreement(check, prepared)


def sampled_rows(particles: ParticleSet, seed: int) -> NDArray[np.int64]:
    """All rows of the images of a sample that is compared with the model."""
    image = particles.table.image
    chosen = random_for(seed, Purpose.CHECK_SAMPLE).permutation(particles.table.image_count)[
        :SAMPLE
    ]
    return with_all_rows(image, chosen)


def without_blank(
    particles: ParticleSet, progress: Callable[[int, int], None] | None = None
) -> tuple[ParticleSet, NDArray[np.int64]]:
    """The particles whose images are not blank, and the rows of the others.

    Raises
    ------
    InputError
        If all images are blank.
    """
    table = particles.table
    blank = blank_rows(particles, None, progress)
    if len(blank) == len(table):
        raise InputError(str(table.source), "all its images are blank", "Extract them again.")
    if len(blank) == 0:
        return particles, blank
    return particles.take(np.setdiff1d(np.arange(len(table)), blank)), blank


def require_sampled_conventions(
    particles: ParticleSet, model: GaussianModel, band: Band, config: RunConfig
) -> None:
    """Stop at a clearly wrong convention before many particles are read.

    Raises
    ------
    InputError
        See `require_conventions`.
    """
    if config.as_given or len(particles) < WORTH_A_SAMPLE:
        return
    rows = sampled_rows(particles, config.training.seed)
    rows = np.setdiff1d(rows, blank_rows(particles, rows))
    if len(rows) == 0:
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "particles"
        sample = prepare(particles.take(rows), folder, config.preprocessing)
        require_conventions(agreement(sample, model, band, config).check, config)
