"""The best that the images allow: a solver that is told the true segments.

Every particle's image is fitted by least squares with the projections of the
segments in the particle's true pose and CTF, each frequency weighted by the
inverse of the noise's power there: white noise plus noise of the sample that
passed the CTF, both estimated from the images. Where this reaches an accuracy, the information is
in the images and a method's error is its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cryoparts.evaluation.composition_accuracy import area_under_curve
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import (
    ring_count,
    ring_index,
    ring_weights,
    transform,
)
from cryoparts.simulation.atom_projection import AtomGroups
from cryoparts.simulation.ground_truth import BothTruth, MotionTruth
from cryoparts.simulation.rigid_motion import Hinges
from cryoparts.simulation.scene import MoleculeScene
from cryoparts.statistics.evenly_spaced import evenly_spaced

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.conventions import CtfParameters, FloatArray, Poses
    from cryoparts.simulation.ground_truth import CompositionTruth
    from cryoparts.simulation.options import Progress

ImagesOf = Callable[["NDArray[np.int64]"], "Tensor | NDArray[np.float32]"]
"""Gives the images (n, D, D) of chosen particles."""

BATCH = 32
"""Particles solved together: bounds the memory, changes no number."""

PARTICLES_FOR_NOISE = 256
"""Particles that the noise is measured on: thousands of pixels of each ring."""


@dataclass(frozen=True)
class OracleAccuracy:
    """What the told solver reaches.

    Parameters
    ----------
    optional_accuracy : float
        Share of (particle, optional segment) pairs whose presence is judged
        rightly by an amplitude above 0.5.
    all_accuracy : float
        The same with the core.
    by_segment : dict of str to float
        Share of particles judged rightly.
    area_under_curve : dict of str to float
        Of each segment that is there in some particles and not in others.
    amplitudes : float64 array, shape (P, S)
        Relative to the core's median amplitude, or to its own in each particle where the
        particles' contrasts differ.
    """

    optional_accuracy: float
    all_accuracy: float
    by_segment: dict[str, float]
    area_under_curve: dict[str, float]
    amplitudes: FloatArray

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file, without the amplitudes."""
        return {k: v for k, v in asdict(self).items() if k != "amplitudes"}


def oracle_accuracy(
    images_of: ImagesOf,
    truth: CompositionTruth,
    poses: Poses,
    ctf: CtfParameters,
    box_size: int,
    pixel_size_angstrom: float,
    progress: Progress | None = None,
) -> OracleAccuracy:
    """Solve every particle's segment amplitudes and compare them with the truth.

    Parameters
    ----------
    images_of : callable
        E.g. ``PreparedParticles.images``; of either contrast and any scale.
    truth : CompositionTruth
        In the particles' order (see `align_truth`). Where segments turn as well, the
        solver is told their angles.
    poses, ctf
        Of the P particles, as they are given.
    box_size, pixel_size_angstrom
        Of the images.
    progress : callable, optional
        Called with particles done and all particles.
    """
    count = len(poses)
    if len(truth.names) != count or len(ctf) != count:
        raise ValueError("truth, poses and CTFs must be of the same particles")
    scene = scene_of(truth, box_size, pixel_size_angstrom)

    def fit_inputs(rows: NDArray[np.int64]) -> FitInputs:
        transfer = contrast_transfer(ctf.take(rows), box_size, pixel_size_angstrom)
        templates = group_projections(scene, rows, poses.take(rows))
        images = torch.as_tensor(images_of(rows), dtype=torch.float32)
        return FitInputs(transform(images), templates * transfer[:, None], transfer.abs().square())

    sample = evenly_spaced(np.arange(count), PARTICLES_FOR_NOISE)
    noise = estimate_noise(fit_inputs, sample, box_size)
    amplitudes = np.zeros((count, scene.atoms.n_groups))
    for start in range(0, count, BATCH):
        rows = np.arange(start, min(start + BATCH, count))
        inputs = fit_inputs(rows)
        weights = noise.weights(inputs.squared_ctf)
        amplitudes[rows] = least_squares_amplitudes(
            inputs.images, inputs.templates, weights
        ).numpy()
        if progress is not None:
            progress(int(rows[-1]) + 1, count)
    amplitudes = amplitudes[:, group_of_segment(truth)]
    # The images' scale and sign are unknown; the core is in every one of them.
    core = amplitudes[:, truth.core]
    varied = truth.nuisances is not None and bool(np.ptp(truth.nuisances.scale) > 0.0)
    amplitudes = amplitudes / (core[:, None] if varied else np.median(core))
    right = (amplitudes > 0.5) == truth.presence
    return OracleAccuracy(
        optional_accuracy=float(right[:, truth.optional_segments].mean()),
        all_accuracy=float(right.mean()),
        by_segment={
            str(name): float(right[:, number].mean())
            for number, name in enumerate(truth.segment_names)
        },
        area_under_curve={
            str(name): area
            for number, name in enumerate(truth.segment_names)
            if (area := area_under_curve(amplitudes[:, number], truth.presence[:, number]))
            is not None
        },
        amplitudes=amplitudes,
    )


def group_of_segment(truth: CompositionTruth) -> NDArray[np.int64]:
    """Group of `scene_of` that each segment (S,) is."""
    if not isinstance(truth, BothTruth):
        return np.arange(len(truth.segment_names))
    others = np.delete(np.arange(len(truth.segment_names)), truth.core)
    return np.argsort([truth.core, *others])


def scene_of(
    truth: CompositionTruth | MotionTruth, box_size: int, pixel_size_angstrom: float
) -> MoleculeScene:
    """The particles as they truly are.

    Groups are the segments (the core first where others turn), or the still rest and
    the regions.
    """
    hinges, angles, presence = None, None, None
    if isinstance(truth, MotionTruth):
        group, count = truth.atom_region, len(truth.axes) + 1
        hinges, angles = Hinges(truth.axes, truth.pivots), truth.angles_degrees
    else:
        place = group_of_segment(truth)
        group, count = place[truth.atom_segment], len(truth.segment_names)
        order = np.argsort(place)
        presence = truth.presence[:, order]
        if isinstance(truth, BothTruth):
            others = order[1:]
            hinges = Hinges(truth.axes[others], truth.pivots[others])
            angles = truth.angles_degrees[:, others]
    atoms = AtomGroups.of(truth.atom_positions, truth.atom_masses, group, count)
    return MoleculeScene(atoms, box_size, pixel_size_angstrom, presence, hinges, angles)


def group_projections(scene: MoleculeScene, rows: NDArray[np.int64], poses: Poses) -> Tensor:
    """Half planes (B, G, D, D // 2 + 1) of each group alone, present or not, without CTF.

    Parameters
    ----------
    scene : MoleculeScene
    rows : int array, shape (B,)
        Particles of the scene, whose angles are used.
    poses : Poses
        Of these particles.
    """
    count, groups = len(rows), scene.atoms.n_groups
    each = np.repeat(np.arange(count), groups)
    alone = replace(
        scene,
        presence=np.tile(np.eye(groups, dtype=bool), (count, 1)),
        angles_degrees=None if scene.angles_degrees is None else scene.angles_degrees[rows][each],
    )
    planes = alone.half_planes(np.arange(count * groups), poses.take(each))
    return torch.from_numpy(planes).reshape(count, groups, *planes.shape[1:])


def least_squares_amplitudes(images: Tensor, templates: Tensor, weights: Tensor) -> Tensor:
    """Amplitudes a that minimise sum_k w(k) |Y(k) - sum_s a_s T_s(k)|² for each image.

    Parameters
    ----------
    images : complex Tensor, shape (B, D, D // 2 + 1)
    templates : complex Tensor, shape (B, S, D, D // 2 + 1)
    weights : Tensor, shape (B, D, D // 2 + 1)
        Inverse noise power, conjugate pairs counted twice; 0 leaves out.

    Returns
    -------
    float64 Tensor, shape (B, S)
    """
    root = weights.sqrt()
    rows = torch.view_as_real(templates * root[:, None]).flatten(2).double()
    right = torch.view_as_real(images * root).flatten(1).double()
    normal = rows @ rows.transpose(1, 2)
    # A segment may project to almost nothing in the band: keep the system solvable.
    ridge = 1e-9 * normal.diagonal(dim1=1, dim2=2).mean(dim=1)
    normal = normal + ridge[:, None, None] * torch.eye(normal.shape[1], dtype=torch.float64)
    solved: Tensor = torch.linalg.solve(normal, (rows @ right[..., None])[..., 0])
    return solved


@dataclass(frozen=True)
class FitInputs:
    """Half planes of B images, S templates each, and their squared CTFs."""

    images: Tensor
    templates: Tensor
    squared_ctf: Tensor


@dataclass(frozen=True)
class NoiseModel:
    """Noise power ``white + sample * CTF²`` of each ring (R,); `used` weighs conjugate pairs."""

    white: Tensor
    sample: Tensor
    used: Tensor
    ring: Tensor

    def weights(self, squared_ctf: Tensor) -> Tensor:
        """Inverse noise power (B, D, D // 2 + 1) of each particle."""
        power = self.white[self.ring] + self.sample[self.ring] * squared_ctf
        return self.used / power


def estimate_noise(
    fit_inputs: Callable[[NDArray[np.int64]], FitInputs],
    sample: NDArray[np.int64],
    box_size: int,
) -> NoiseModel:
    """Regress, ring by ring, the residual power of an unweighted fit on the squared CTF."""
    rings = ring_count(box_size)
    index = ring_index(box_size)
    # The mean of an image and the corners of the plane carry no signal to be trusted.
    used = ring_weights(box_size) * ((index > 0) & (index < rings))
    ring = index.clamp(max=rings - 1)

    def over_rings(values: Tensor) -> Tensor:
        flat = (values.double().sum(dim=0) * used).flatten()
        return torch.zeros(rings, dtype=torch.float64).index_add(0, ring.flatten(), flat)

    sums = torch.zeros(5, rings, dtype=torch.float64)
    for start in range(0, len(sample), BATCH):
        inputs = fit_inputs(sample[start : start + BATCH])
        equal = used.expand_as(inputs.squared_ctf)
        amplitudes = least_squares_amplitudes(inputs.images, inputs.templates, equal)
        fitted = (inputs.templates * amplitudes.float()[:, :, None, None]).sum(dim=1)
        power, c = (inputs.images - fitted).abs().square(), inputs.squared_ctf
        moments = (torch.ones_like(c), c, c * c, power, power * c)
        sums += torch.stack([over_rings(values) for values in moments])
    one, c1, c2, p, pc = sums
    spread = one * c2 - c1**2
    slope = torch.where(spread > 1e-9 * one * c2, (one * pc - c1 * p) / spread, 0.0)
    slope = torch.minimum(slope.clamp(min=0.0), p / c1.clamp(min=1e-30))
    level = (p - slope * c1) / one.clamp(min=1.0)
    floor = 1e-3 * p / one.clamp(min=1.0) + 1e-12 * p.sum() / one.sum() + 1e-30
    white = torch.maximum(level, floor)
    return NoiseModel(white.float(), slope.float(), used, ring)
