"""Borders of parts that come and go: images put back the Gaussians of another part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.config import TrainingConfig
from cryoparts.gaussians.model import GaussianModel
from cryoparts.occupancy.borders import borders_by_presence
from cryoparts.occupancy.presence_in_images import PresenceInImages
from cryoparts.parts.part_labels import CORE
from imaged_parts import Imaged, imaged_parts, labelled

PARTICLES, NOISE = 600, 2.0
CONFIG = TrainingConfig(threads=1)
APART = 9.0  # Å between neighbouring Gaussians
CENTRES = 3 * APART * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])


def asked(imaged: Imaged, label: np.ndarray, **options) -> np.ndarray:
    seen = PresenceInImages.of(
        imaged.particles(), imaged.model, labelled(imaged.model, label), CONFIG, **options
    )
    return label if seen is None else borders_by_presence(seen)


def molecule(amplitude: np.ndarray, noise: float = NOISE, far: int | None = None) -> Imaged:
    """A core, four of it in no part, and two parts that touch it and each other at an edge.

    `far` is a Gaussian of the core that lies away from it, and comes and goes with part 2.
    """
    rng = np.random.default_rng(0)
    label = np.repeat([0, -1, 1, 2], [23, 4, 27, 27])
    cube = APART * (np.indices((3, 3, 3)).reshape(3, -1).T - 1)
    positions = (CENTRES[:, None] + cube).reshape(-1, 3) + rng.normal(0, 1, (len(label), 3))
    drawn = label.copy()
    if far is not None:
        drawn[far], positions[far] = 2, (-4 * APART, 0, 0)
    model = GaussianModel.of(positions, rng.uniform(1, 2, len(label)), np.full(len(label), 5.0))
    return replace(
        imaged_parts(model, drawn, amplitude).noisy(noise), labels=labelled(model, label)
    )


def there(*occupancies: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random((PARTICLES, len(occupancies))) < occupancies


@pytest.fixture(scope="module")
def imaged() -> Imaged:
    return molecule(there(0.5, 0.7).astype(float))


def nearest(imaged: Imaged, part: int, other: int, count: int) -> np.ndarray:
    """The Gaussians of one part that are nearest to the centre of another."""
    label = np.maximum(imaged.labels.labels, 0)
    own = np.flatnonzero(label == part)
    away = np.linalg.norm(imaged.model.positions[own] - CENTRES[other], axis=1)
    return own[np.argsort(away)[:count]]


@pytest.mark.parametrize(("part", "other"), [(1, 2), (2, 1), (1, 0), (0, 1), (2, 0), (0, 2)])
def test_gaussians_that_were_put_into_another_part_go_back(imaged, part, other):
    wrong = np.array(imaged.labels.labels)
    wrong[nearest(imaged, part, other, 4)] = other
    found, right = asked(imaged, wrong), np.maximum(imaged.labels.labels, CORE)
    # of two that touch, in two parts, and are each other's size, the images know little
    assert (np.maximum(found, CORE) != right).sum() <= 1


@pytest.mark.parametrize("noise", [NOISE, 8 * NOISE])
def test_borders_that_are_right_stay(noise):
    imaged = molecule(there(0.5, 0.7).astype(float), noise)
    np.testing.assert_array_equal(asked(imaged, imaged.labels.labels), imaged.labels.labels)


def test_a_gaussian_joins_no_part_that_it_is_not_beside():
    imaged = molecule(there(0.5, 0.7).astype(float), far=0)
    np.testing.assert_array_equal(asked(imaged, imaged.labels.labels), imaged.labels.labels)


def test_parts_that_do_not_come_and_go_keep_their_borders():
    always = molecule(np.column_stack([there(0.5)[:, 0], np.ones(PARTICLES)]))
    wrong = np.array(always.labels.labels)
    wrong[nearest(always, 0, 2, 4)] = 2
    np.testing.assert_array_equal(asked(always, wrong), wrong)


def test_parts_that_are_there_together_are_not_told_apart():
    together = molecule(np.repeat(there(0.5), 2, axis=1).astype(float), noise=0.1)
    wrong = np.array(together.labels.labels)
    wrong[nearest(together, 1, 2, 4)] = 2
    np.testing.assert_array_equal(asked(together, wrong), wrong)


def test_particles_that_do_not_count_say_nothing(imaged):
    counted = np.arange(PARTICLES) % 3 > 0
    wrong = np.array(imaged.labels.labels)
    wrong[nearest(imaged, 1, 2, 4)] = 2
    noise = np.random.default_rng(3).normal(size=imaged.images.shape) * imaged.images.std()
    junk = imaged.showing(np.where(counted[:, None, None], imaged.images, 20 * noise))
    expected = asked(imaged, wrong, counted=counted)
    assert not np.array_equal(expected, wrong)
    np.testing.assert_array_equal(asked(junk, wrong, counted=counted), expected)


def test_a_part_loses_no_more_than_a_share_of_its_gaussians(imaged, monkeypatch):
    right = np.array(imaged.labels.labels)
    wrong = np.where(right == 1, CORE, right)
    wrong[nearest(imaged, 1, 0, 17)] = 1
    wrong[nearest(imaged, 0, 1, 20)] = 1
    stayed = (asked(imaged, wrong) == 1)[wrong == 1].mean()
    assert 0.5 <= stayed < 0.6
    monkeypatch.setattr("cryoparts.parts.moved_borders.KEPT", 0.6)
    assert (asked(imaged, wrong) == 1)[wrong == 1].mean() >= 0.6


def test_gaussians_are_looked_for_where_they_have_moved_to(imaged):
    moved = np.zeros((PARTICLES, len(imaged.model), 3), dtype=np.float32)
    wrong = np.array(imaged.labels.labels)
    wrong[nearest(imaged, 1, 2, 4)] = 2
    asked_of = []

    def displacements(rows):
        asked_of.append(rows)
        return moved[rows]

    found = asked(imaged, wrong, displacements_of=displacements)
    np.testing.assert_array_equal(found, asked(imaged, wrong))
    assert asked_of


def test_without_a_part_there_is_no_border(imaged):
    none = np.zeros(len(imaged.model), dtype=np.int64)
    np.testing.assert_array_equal(asked(imaged, none), none)


def test_a_handful_of_particles_says_nothing(imaged):
    wrong = np.array(imaged.labels.labels)
    wrong[nearest(imaged, 1, 2, 4)] = 2
    np.testing.assert_array_equal(asked(imaged, wrong, counted=np.arange(PARTICLES) < 3), wrong)


def test_labels_are_not_changed_in_place(imaged):
    wrong = np.array(imaged.labels.labels)
    wrong[nearest(imaged, 1, 2, 4)] = 2
    labels = labelled(imaged.model, wrong.copy())
    seen = PresenceInImages.of(imaged.particles(), imaged.model, labels, CONFIG)
    assert seen is not None
    borders_by_presence(seen)
    np.testing.assert_array_equal(labels.labels, wrong)


def fading(imaged: Imaged, part: int, change: float, **options) -> list[int]:
    """The unconfirmed parts where the decoder lets six Gaussians fade as a third part."""
    label = np.array(imaged.labels.labels)
    label[np.flatnonzero(label == part)[:6]] = 3
    parts = replace(
        labelled(imaged.model, label),
        amplitude_change=np.where(label > 0, change, 0.0),
    )
    config = replace(CONFIG, **options)
    seen = PresenceInImages.of(imaged.particles(), imaged.model, parts, config)
    assert seen is not None
    assert 3 not in seen.unconfirmed({3})
    return seen.unconfirmed(())


def test_what_fades_by_the_decoder_alone_is_not_confirmed(imaged, monkeypatch):
    assert fading(imaged, CORE, 0.5) == []  # not small
    monkeypatch.setattr("cryoparts.occupancy.presence_in_images.SMALL", 0.1)
    assert fading(imaged, CORE, 0.5) == [3]
    assert fading(imaged, CORE, 0.05) == []  # nor does the decoder say that it fades
    assert fading(imaged, CORE, 0.5, vary=("position",)) == []


def test_a_small_part_that_comes_and_goes_in_the_images_is_confirmed(imaged, monkeypatch):
    monkeypatch.setattr("cryoparts.occupancy.presence_in_images.SMALL", 0.1)
    assert fading(imaged, 2, 0.5) == []
