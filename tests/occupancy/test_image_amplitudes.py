"""Amplitudes of parts measured in images: what was put in comes out, with the right errors."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.config import TrainingConfig
from cryoparts.gaussians.model import GaussianModel
from cryoparts.occupancy.image_amplitudes import (
    ImageAmplitudes,
    PartsFit,
    measure_amplitudes,
)
from imaged_parts import BOX, Imaged, imaged_parts, labelled, render

PARTICLES = 150
CONFIG = TrainingConfig(threads=1)


def measure(imaged: Imaged, **options) -> ImageAmplitudes:
    labels = options.pop("labels", imaged.labels)
    return measure_amplitudes(imaged.particles(), imaged.model, labels, CONFIG, **options)


@pytest.fixture(scope="module")
def imaged() -> Imaged:
    """A core (some of it in no part) and two parts that overlap in most views."""
    rng = np.random.default_rng(0)
    label = np.repeat([0, -1, 1, 2], [20, 4, 14, 12])
    centre = np.array([[0, 0, 0], [22, 0, 0], [18, 14, 0], [0, 0, 0]])[label]
    positions = centre + rng.uniform(-14, 14, (50, 3))
    model = GaussianModel.of(positions, rng.uniform(1, 2, 50), rng.uniform(5, 7, 50))
    return imaged_parts(model, label, rng.uniform(0, 1.4, (PARTICLES, 2)))


def test_images_without_noise_give_back_the_amplitudes_they_were_made_with(imaged):
    told = []
    found = measure(imaged, progress=lambda done, total: told.append((done, total)))
    np.testing.assert_allclose(found.amplitude, imaged.amplitude, atol=2e-3)
    assert found.names.tolist() == imaged.particles().names.tolist()
    assert np.sqrt(found.variance.max()) < 0.01
    assert told == [(64, 150), (128, 150), (150, 150)]


def test_the_scale_of_the_images_and_of_each_particle_does_not_matter(imaged):
    own = np.random.default_rng(2).uniform(0.6, 1.6, PARTICLES)[:, None, None]
    np.testing.assert_allclose(
        measure(imaged.showing(30 * own * imaged.images)).amplitude, imaged.amplitude, atol=2e-3
    )
    seen = imaged.noisy(0.5)
    one, other = measure(seen), measure(seen.showing(30 * seen.images))
    np.testing.assert_allclose(other.amplitude, one.amplitude, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(other.covariance, one.covariance, rtol=1e-2)


@pytest.mark.parametrize("level", [0.5, 2.0])
def test_the_errors_are_those_that_the_covariance_says(imaged, level):
    found = measure(imaged.noisy(level))
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
    quiet = measure(imaged.showing(imaged.images + noise)).variance
    factor = np.where(strong, 2, 1)[:, None, None]
    mixed = measure(imaged.showing(imaged.images + factor * noise)).variance
    ratio = mixed[:, 0] / quiet[:, 0]
    assert np.median(ratio[strong]) / np.median(ratio[~strong]) == pytest.approx(4, rel=0.15)


def test_noise_that_neighbouring_frequencies_share_makes_larger_errors(imaged):
    """As under the mask around a particle: independent frequencies would claim too much."""
    y, x = np.indices((BOX, BOX)) - BOX // 2
    mask = np.hypot(x, y) < 10
    noise = 2 * imaged.images.std() * np.random.default_rng(5).normal(size=imaged.images.shape)
    found = measure(imaged.showing(imaged.images + noise * mask))
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
    seen = imaged.showing(images)
    told = measure(seen, displacements_of=lambda rows: moved[rows].astype(np.float32))
    np.testing.assert_allclose(told.amplitude, imaged.amplitude, atol=2e-3)
    assert np.abs(measure(seen).amplitude - imaged.amplitude).mean() > 0.05


def test_without_a_core_the_upper_quartile_of_the_parts_is_the_scale(imaged):
    keep = imaged.labels.labels > 0
    model = GaussianModel.of(
        imaged.model.positions[keep], imaged.model.amplitudes[keep], imaged.model.widths[keep]
    )
    label = imaged.labels.labels[keep]
    present = np.random.default_rng(7).random((PARTICLES, 2)) < 0.5
    images = render(model, 3 * model.amplitudes * present[:, label - 1], imaged.poses, imaged.ctf)
    bare = Imaged(model, labelled(model, label), imaged.poses, imaged.ctf, present, images)
    found = measure(bare)
    np.testing.assert_allclose(found.amplitude, present, atol=5e-3)


def test_part_numbers_are_columns(imaged):
    swapped = labelled(imaged.model, np.array([-1, 0, 2, 1])[imaged.labels.labels + 1])
    seen = imaged.noisy(0.5)
    one, other = measure(seen), measure(seen, labels=swapped)
    np.testing.assert_allclose(other.amplitude[:, ::-1], one.amplitude, atol=1e-4)
    np.testing.assert_allclose(other.variance[:, ::-1], one.variance, rtol=1e-3)


def test_some_particles_are_measured_as_they_are_among_all(imaged):
    rows = np.array([140, 3, 17, *range(60, 130)])
    found = measure(imaged, rows=rows)
    np.testing.assert_allclose(found.amplitude, imaged.amplitude[rows], atol=2e-3)
    assert found.names.tolist() == imaged.particles().names[rows].tolist()


def test_where_the_fit_rests_no_part_is_wanted_more_or_less_as_a_whole(imaged):
    seen = imaged.noisy(1.0)
    fit = PartsFit(seen.particles(), seen.model, seen.labels, CONFIG, None)
    every = np.arange(PARTICLES)
    slopes = fit.slopes(every, fit.measure_weights(every)).numpy()
    single = np.abs(slopes).mean()
    for group in fit.members:
        assert np.abs(slopes[:, group].sum(axis=1)).max() < 1e-2 * single


def test_a_gaussian_that_the_fit_lacks_is_wanted(imaged):

    missing = 5
    amplitudes = np.tile(imaged.model.amplitudes, (PARTICLES, 1))
    amplitudes[:, missing] *= 1.2
    seen = imaged.showing(render(imaged.model, amplitudes, imaged.poses, imaged.ctf)).noisy(0.05)
    fit = PartsFit(seen.particles(), seen.model, seen.labels, CONFIG, None)
    every = np.arange(PARTICLES)
    slopes = fit.slopes(every, fit.measure_weights(every)).numpy().mean(axis=0)
    assert slopes.argmax() == missing


def test_what_cannot_be_measured_is_refused(imaged):
    with pytest.raises(ValueError, match="no part"):
        measure(imaged, labels=labelled(imaged.model, np.zeros(50, dtype=np.int64)))
    names = np.array(["a", "b", "c"])
    for shape in ((3, 2, 1), (2, 2, 2)):
        with pytest.raises(ValueError, match="do not fit"):
            ImageAmplitudes(names, np.zeros((3, 2)), np.zeros(shape))
    with pytest.raises(ValueError, match="do not fit"):
        ImageAmplitudes(names[:2], np.zeros((3, 2)), np.zeros((3, 2, 2)))
