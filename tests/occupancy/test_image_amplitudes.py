"""Amplitudes of parts measured in images: what was put in comes out, with the right errors."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryoparts.config import TrainingConfig
from cryoparts.conventions import CtfParameters, Poses
from cryoparts.gaussians.model import GaussianModel
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import inverse_transform, shift_phases
from cryoparts.imaging.projection import project
from cryoparts.occupancy.image_amplitudes import ImageAmplitudes, measure_amplitudes
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.parts.part_labels import PartLabels

BOX, PIXEL, PARTICLES = 32, 5.0, 150
CONFIG = TrainingConfig(threads=1)


@dataclass(frozen=True)
class Imaged:
    """Particles whose parts have the given amplitudes, and what they were imaged with."""

    model: GaussianModel
    labels: PartLabels
    poses: Poses
    ctf: CtfParameters
    amplitude: np.ndarray  # (P, K)
    images: np.ndarray

    def particles(self, images=None) -> PreparedParticles:
        return PreparedParticles(
            folder=Path("nowhere"),
            names=np.array([f"{i:06d}@p.mrcs" for i in range(PARTICLES)]),
            poses=self.poses,
            ctf=self.ctf,
            half_set=np.ones(PARTICLES, dtype=np.int8),
            optics_group=np.ones(PARTICLES, dtype=np.int64),
            pixel_size_angstrom=PIXEL,
            box_size=BOX,
            contrast_sign=1,
            details={},
            _images=np.asarray(self.images if images is None else images, dtype=np.float32),
        )

    def measure(self, images=None, **options) -> ImageAmplitudes:
        labels = options.pop("labels", self.labels)
        return measure_amplitudes(self.particles(images), self.model, labels, CONFIG, **options)


def labelled(model, label):
    nothing = np.zeros(len(label))
    return PartLabels(label, np.zeros((len(label), 2)), model.positions, nothing, nothing, "pca")


def render(model, amplitudes, poses, ctf, moved=None):
    positions = torch.as_tensor(model.positions)
    if moved is not None:
        positions = positions + torch.as_tensor(moved, dtype=torch.float32)
    planes = project(
        positions,
        torch.as_tensor(amplitudes, dtype=torch.float32),
        torch.as_tensor(model.widths),
        torch.as_tensor(poses.rotation, dtype=torch.float32),
        BOX,
        PIXEL,
    ) * contrast_transfer(ctf, BOX, PIXEL)
    shift = torch.as_tensor(poses.shift_angstrom, dtype=torch.float32)
    return inverse_transform(planes * shift_phases(shift, BOX, PIXEL)).numpy()


@pytest.fixture(scope="module")
def imaged() -> Imaged:
    """A core (some of it in no part) and two parts that overlap in most views."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, -1, 1, 2], [20, 4, 14, 12])
    centre = np.array([[0, 0, 0], [22, 0, 0], [18, 14, 0], [0, 0, 0]])[label]
    positions = centre + rng.uniform(-14, 14, (50, 3))
    model = GaussianModel.of(positions, rng.uniform(1, 2, 50), rng.uniform(5, 7, 50))
    rotation = Rotation.random(PARTICLES, random_state=1).as_matrix()
    poses = Poses(rotation, rng.normal(0, 4, (PARTICLES, 2)))
    constant = dict(zip((f.name for f in fields(CtfParameters)), (0, 0, 30, 300, 2.7, 0.1, 0, 0, 1),
                        strict=True))  # fmt: skip
    columns = {name: np.full(PARTICLES, float(value)) for name, value in constant.items()}
    columns["defocus_u_angstrom"] = rng.uniform(8000, 20000, PARTICLES)
    columns["defocus_v_angstrom"] = columns["defocus_u_angstrom"] - 300
    ctf = CtfParameters(**columns)
    amplitude = rng.uniform(0, 1.4, (PARTICLES, 2))
    factors = np.column_stack([np.ones(PARTICLES), amplitude])[:, np.maximum(label, 0)]
    images = render(model, model.amplitudes * factors, poses, ctf)
    return Imaged(model, labelled(model, label), poses, ctf, amplitude, images)


def noisy(imaged, level, seed=0):
    noise = np.random.default_rng(seed).normal(size=imaged.images.shape)
    return imaged.images + level * imaged.images.std() * noise


def test_images_without_noise_give_back_the_amplitudes_they_were_made_with(imaged):
    told = []
    found = imaged.measure(progress=lambda done, total: told.append((done, total)))
    np.testing.assert_allclose(found.amplitude, imaged.amplitude, atol=2e-3)
    assert found.names.tolist() == imaged.particles().names.tolist()
    assert np.sqrt(found.variance.max()) < 0.01
    assert told == [(64, 150), (128, 150), (150, 150)]


def test_the_scale_of_the_images_and_of_each_particle_does_not_matter(imaged):
    own = np.random.default_rng(2).uniform(0.6, 1.6, PARTICLES)[:, None, None]
    np.testing.assert_allclose(
        imaged.measure(images=30 * own * imaged.images).amplitude, imaged.amplitude, atol=2e-3
    )
    images = noisy(imaged, 0.5)
    one, other = imaged.measure(images), imaged.measure(30 * images)
    np.testing.assert_allclose(other.amplitude, one.amplitude, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-2)


@pytest.mark.parametrize("level", [0.5, 2.0])
def test_the_errors_are_those_that_the_covariance_says(imaged, level):
    found = imaged.measure(noisy(imaged, level))
    error = found.amplitude - imaged.amplitude
    away = error / np.sqrt(found.variance)
    assert np.abs(away.mean(axis=0)).max() < 4 / np.sqrt(PARTICLES)  # no part leans on another
    # chi-squared of two degrees, mean 2 and variance 4 a particle, correlation included
    squared = np.einsum("pi,pij,pj->p", error, np.linalg.inv(found.covariance), error)
    assert squared.mean() == pytest.approx(2.0, abs=4 * 2 / np.sqrt(PARTICLES))
    assert np.abs(found.covariance[:, 0, 1]).mean() > 0.1 * found.variance.mean()
    np.testing.assert_allclose(found.covariance, found.covariance.transpose(0, 2, 1), rtol=1e-5)


def test_a_noisier_particle_has_larger_errors(imaged):
    strong = np.arange(PARTICLES) % 2 == 1
    noise = np.random.default_rng(4).normal(size=imaged.images.shape) * imaged.images.std()
    quiet = imaged.measure(imaged.images + noise).variance
    mixed = imaged.measure(imaged.images + np.where(strong, 2, 1)[:, None, None] * noise).variance
    ratio = mixed[:, 0] / quiet[:, 0]
    assert np.median(ratio[strong]) / np.median(ratio[~strong]) == pytest.approx(4, rel=0.15)


def test_noise_that_neighbouring_frequencies_share_makes_larger_errors(imaged):
    """As under the mask around a particle: independent frequencies would claim too much."""
    y, x = np.indices((BOX, BOX)) - BOX // 2
    mask = np.hypot(x, y) < 10
    noise = 2 * imaged.images.std() * np.random.default_rng(5).normal(size=imaged.images.shape)
    found = imaged.measure(imaged.images + noise * mask)
    error = found.amplitude - imaged.amplitude
    squared = np.einsum("pi,pij,pj->p", error, np.linalg.inv(found.covariance), error)
    assert squared.mean() == pytest.approx(2.0, rel=0.5)  # else about one over the area, 3 times


def test_parts_are_measured_where_they_have_moved_to(imaged):
    rng = np.random.default_rng(6)
    moved = np.zeros((PARTICLES, 50, 3))
    moved[:, imaged.labels.members(1)] = rng.normal(0, 8, (PARTICLES, 1, 3))
    label = np.maximum(imaged.labels.labels, 0)
    factors = np.column_stack([np.ones(PARTICLES), imaged.amplitude])[:, label]
    images = render(
        imaged.model, imaged.model.amplitudes * factors, imaged.poses, imaged.ctf, moved
    )
    told = imaged.measure(images, displacements_of=lambda rows: moved[rows].astype(np.float32))
    np.testing.assert_allclose(told.amplitude, imaged.amplitude, atol=2e-3)
    assert np.abs(imaged.measure(images).amplitude - imaged.amplitude).mean() > 0.05


def test_without_a_core_the_upper_quartile_of_the_parts_is_the_scale(imaged):
    keep = imaged.labels.labels > 0
    model = GaussianModel.of(
        imaged.model.positions[keep], imaged.model.amplitudes[keep], imaged.model.widths[keep]
    )
    label = imaged.labels.labels[keep]
    present = np.random.default_rng(7).random((PARTICLES, 2)) < 0.5
    images = render(model, 3 * model.amplitudes * present[:, label - 1], imaged.poses, imaged.ctf)
    bare = Imaged(model, labelled(model, label), imaged.poses, imaged.ctf, present, images)
    found = bare.measure()
    np.testing.assert_allclose(found.amplitude, present, atol=5e-3)


def test_part_numbers_are_columns(imaged):
    swapped = labelled(imaged.model, np.array([-1, 0, 2, 1])[imaged.labels.labels + 1])
    images = noisy(imaged, 0.5)
    one, other = imaged.measure(images), imaged.measure(images, labels=swapped)
    np.testing.assert_allclose(other.amplitude[:, ::-1], one.amplitude, atol=1e-4)
    np.testing.assert_allclose(other.variance[:, ::-1], one.variance, rtol=1e-3)


def test_what_cannot_be_measured_is_refused(imaged):
    with pytest.raises(ValueError, match="no part"):
        imaged.measure(labels=labelled(imaged.model, np.zeros(50, dtype=np.int64)))
    names = np.array(["a", "b", "c"])
    for shape in ((3, 2, 1), (2, 2, 2)):
        with pytest.raises(ValueError, match="do not fit"):
            ImageAmplitudes(names, np.zeros((3, 2)), np.zeros(shape))
    with pytest.raises(ValueError, match="do not fit"):
        ImageAmplitudes(names[:2], np.zeros((3, 2)), np.zeros((3, 2, 2)))
