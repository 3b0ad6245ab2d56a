"""The rigid motions of all parts of a run, from the decoder to the folder motion/."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.inference.calibration import PRESENT_ABOVE
from cryoparts.motion.motion_files import PartMotion
from cryoparts.parallel.current import team
from cryoparts.parts.part_labels import CORE
from cryoparts.rigid.motion_statistics import distribution, mean_screw
from cryoparts.rigid.rest_shape import Middle, rest_shape
from cryoparts.rigid.rigid_motion import (
    MOVES_ALONG,
    fit_rigid_motions,
    join_particles,
    rigid_trust,
    without_core_motion,
)
from cryoparts.seeds import Purpose
from cryoparts.statistics.trusted import choose_sample, is_trusted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cryoparts.config.steps import Frame
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.inference.decoded import Decoded
    from cryoparts.particles.pose_change import PoseChange
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.rigid.rigid_motion import RigidMotions

    FloatArray = NDArray[np.float64]


CHUNK = 64
"""Particles decoded at once: 2,048 Gaussians take 3 MB as float64, and a few thousand particles
are batches enough for several processes."""


_SAMPLE = 200
"""Particles on which it is judged whether a part is there often enough, and which axis is
common."""

_FEWEST_PRESENT = 10
"""Particles with the part, below which its motion is not described."""


@dataclass(frozen=True)
class RunMotion:
    """The motions of the core and of every part that is there often enough.

    Parameters
    ----------
    core : RigidMotions or None
        The core's own motion, in the frame of the poses; None without a core.
    parts : dict of int to PartMotion
    rest : array, shape (N, 3)
        Places of all Gaussians at rest, Å, which the parts' motions start from.
    by_images : bool
        Whether the images have corrected what the decoder says (`refine_motion`).
    pose_change : PoseChange or None
        The poses that the images were asked for along with the motions; None where these were
        held.
    """

    core: RigidMotions | None
    parts: dict[int, PartMotion]
    rest: FloatArray
    by_images: bool = False
    pose_change: PoseChange | None = None


@dataclass(frozen=True)
class _Body:
    """One part's Gaussians, where they are at rest, and their weights in its rigid fit."""

    index: NDArray[np.int64]
    misfit: FloatArray
    """From the neutral model to the places at rest."""
    rest: FloatArray
    masses: FloatArray
    trust: FloatArray

    def fit(self, displacements: FloatArray) -> RigidMotions:
        """Motions by the displacements (n, N, 3) of all Gaussians from the neutral model."""
        moved = displacements[:, self.index] - self.misfit
        return fit_rigid_motions(self.rest, moved, self.masses, self.trust)


@dataclass(frozen=True)
class _Fitted:
    """The motions of a chunk of particles, and how much of each part is there."""

    core: RigidMotions | None
    parts: dict[int, RigidMotions]
    amplitudes: dict[int, FloatArray]


@dataclass(frozen=True)
class _FitMotions:
    """Decodes particles and fits the motion of every body in each."""

    decode: Callable[[NDArray[np.int64]], Decoded]
    mean: FloatArray
    """Of the displacements (N, 3), which the decoded ones lack."""
    positions: NDArray[np.floating]
    bodies: dict[int, _Body]
    core: _Body | None
    relative: bool

    def __call__(self, rows: NDArray[np.int64]) -> _Fitted:
        """Of the particles `rows`."""
        decoded = self.decode(rows)
        moved, core = _displacements(decoded) + self.mean, None
        if self.core is not None:
            core = self.core.fit(moved)
            if self.relative:
                moved = without_core_motion(self.positions, moved, core)
        fits, amplitudes = {}, {}
        for part, body in self.bodies.items():
            fits[part] = body.fit(moved)
            if decoded.relative_amplitudes is not None:
                told = decoded.relative_amplitudes[:, body.index] @ body.masses
                amplitudes[part] = told / body.masses.sum()
        return _Fitted(core, fits, amplitudes)

    def joined(self, answers: Sequence[_Fitted]) -> _Fitted:
        """Of parts of a batch, one behind the other."""
        core = [of.core for of in answers if of.core is not None]
        return _Fitted(
            join_particles(core) if core else None,
            {part: join_particles([of.parts[part] for of in answers]) for part in self.bodies},
            {
                part: np.concatenate([of.amplitudes[part] for of in answers])
                for part in answers[0].amplitudes
            },
        )


def measure_motion(
    model: GaussianModel,
    labels: PartLabels,
    decode: Callable[[NDArray[np.int64]], Decoded],
    n_particles: int,
    *,
    mean_displacement: FloatArray | None = None,
    image: NDArray[np.int64] | None = None,
    probability: FloatArray | None = None,
    frame: Frame = "core",
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> RunMotion:
    """Fit the motion of every part in every particle.

    Particles are decoded in chunks, so memory does not grow with them but
    for a few numbers each.

    Parameters
    ----------
    model : GaussianModel
    labels : PartLabels
    decode : callable
        Takes indices of particles, returns their displacements.
    n_particles : int
    mean_displacement : array, shape (N, 3), optional
        Over the particles, Å, where it was taken off the displacements: of a part that turns
        it is not its misfit alone (see `rest_shape`). Default: 0.
    image : int array, shape (P,), optional
        Number of each row's image, by which axes are resampled. Default: an image a row.
    probability : array, shape (P,), optional
        Of each particle being what the model describes: axes and statistics are of those
        trusted (`is_trusted`). Default: all.
    frame : "core" or "lab"
        What motions are relative to: the core (its rigid motion is undone), or
        the neutral model in the frame of the poses.
    seed : int
    progress : callable, optional
        Told the particles done, and all.

    Raises
    ------
    ValueError
        If positions did not vary.
    """
    weights = np.ones(n_particles) if probability is None else probability
    mean = np.zeros(model.positions.shape) if mean_displacement is None else mean_displacement
    decoded = decode(
        choose_sample(n_particles, _SAMPLE, seed, weights, purpose=Purpose.MOTION_SAMPLE)
    )
    sample, amplitudes = _displacements(decoded) + mean, decoded.relative_amplitudes
    has_core = bool(labels.members(CORE).any())
    core_body = _body(model, labels, CORE, sample, amplitudes) if has_core else None
    if frame == "core" and core_body is not None:
        sample = without_core_motion(model.positions, sample, core_body.fit(sample))
    bodies = {k: _body(model, labels, k, sample, amplitudes) for k in range(1, labels.n_parts + 1)}
    fit = _FitMotions(decode, mean, model.positions, bodies, core_body, relative=frame == "core")
    fitted = [of for _, of in team().sweep(fit, np.arange(n_particles), CHUNK, progress)]
    parts, rest = {}, model.positions.astype(np.float64)
    if core_body is not None:
        rest[core_body.index] = core_body.rest
    for part, body in bodies.items():
        told = [of.amplitudes[part] for of in fitted if part in of.amplitudes]
        amplitude = np.concatenate(told) if told else None
        motions = join_particles([of.parts[part] for of in fitted])
        present = _present(amplitude, is_trusted(weights))
        # the sample's middle is known to within a fourteenth of the motion alone
        middle = Middle.of(motions.take(present))
        rest[body.index] = middle.places(body.rest)
        parts[part] = _part_motion(middle.motions(motions), amplitude, present, body, image, seed)
    core = [of.core for of in fitted if of.core is not None]
    return RunMotion(join_particles(core) if core else None, parts, rest)


def summarise(motion: RunMotion, labels: PartLabels, frame: Frame) -> dict[str, Any]:
    """The content of motions.json: the core's motion, then each part's."""
    core = motion.core
    return {
        "frame": frame,
        "corrected_by_the_images": motion.by_images,
        "particles": len(next(iter(motion.parts.values())).motions) if motion.parts else 0,
        "core": None
        if core is None
        else {
            "angle_rms_degrees": _rms(core.angle_degrees),
            "shift_rms_angstrom": _rms(np.linalg.norm(core.shift_angstrom, axis=1)),
            "residual_rms_angstrom": _rms(core.residual_rms_angstrom),
            "centre_angstrom": core.centre.tolist(),
        },
        "parts": {f"part_{k}": _part_summary(m, labels.name(k)) for k, m in motion.parts.items()},
    }


def _present(amplitude: FloatArray | None, trusted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    present = trusted if amplitude is None else trusted & (amplitude > PRESENT_ABOVE)
    # a part that is hardly ever there still gets an axis, of all particles
    return present if present.sum() >= _FEWEST_PRESENT else trusted


def _part_motion(
    motions: RigidMotions,
    amplitude: FloatArray | None,
    present: NDArray[np.bool_],
    body: _Body,
    image: NDArray[np.int64] | None,
    seed: int,
) -> PartMotion:
    own = None if image is None else image[present]
    screw = mean_screw(motions.take(present), image=own, seed=seed)
    return PartMotion(
        motions=motions,
        screw=screw,
        signed_angle_degrees=motions.angles_about(screw.axis, screw.pivot),
        relative_amplitude=amplitude,
        present=present,
        rigid_fraction=float(body.masses[body.trust > MOVES_ALONG].sum() / body.masses.sum()),
    )


def _part_summary(motion: PartMotion, name: str) -> dict[str, Any]:
    there = motion.motions.take(motion.present)
    return {
        "name": name,
        "particles_with_the_part": int(motion.present.sum()),
        "told_by_the_images": motion.told,
        "mass_that_moves_as_one": motion.rigid_fraction,
        "displacement_rms_angstrom": _rms(there.displacement_rms_angstrom),
        "residual_rms_angstrom": _rms(there.residual_rms_angstrom),
        "shift_rms_angstrom": _rms(np.linalg.norm(there.shift_angstrom, axis=1)),
        "angle_rms_degrees": _rms(there.angle_degrees),
        "screw": motion.screw.as_dict(),
        "signed_angle_degrees": distribution(motion.signed_angle_degrees[motion.present]),
        "centre_angstrom": there.centre.tolist(),
    }


def _body(
    model: GaussianModel,
    labels: PartLabels,
    part: int,
    sample: FloatArray,
    amplitudes: NDArray[np.floating] | None,
) -> _Body:
    index = np.flatnonzero(labels.members(part))
    positions = model.positions[index].astype(np.float64)
    masses = model.amplitudes[index].astype(np.float64)
    moved = sample[:, index]
    if amplitudes is not None:
        there = amplitudes[:, index] @ masses > PRESENT_ABOVE * masses.sum()
        if there.sum() >= _FEWEST_PRESENT:
            moved = moved[there]
    trust = rigid_trust(positions, moved, masses)
    rest = rest_shape(positions, moved, masses, trust)
    trust = rigid_trust(rest, moved - (rest - positions), masses)
    return _Body(index, rest - positions, rest, masses, trust)


def _displacements(decoded: Decoded) -> FloatArray:
    if decoded.displacements is None:
        raise ValueError("positions did not vary, so nothing moves")
    return np.asarray(decoded.displacements, dtype=np.float64)


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
