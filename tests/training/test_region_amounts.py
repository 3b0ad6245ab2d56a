"""How much of each region an image shows, and what of it is usual."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.image_model.deformation import Gaussians
from cryoparts.image_model.forward_model import ParticleBatch
from cryoparts.refinement.whitened_images import WhitenedImages
from cryoparts.training.region_amounts import (
    REGIONS,
    RegionAmounts,
    UsualAmounts,
    region_amounts,
    regions_of,
)
from cryoparts.training.setup import prepare_training
from training_example import QUICK, make_example

K = 8


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    example = make_example(tmp_path_factory.mktemp("regions") / "run", QUICK, noise=0.3)
    return prepare_training(example.run, QUICK)


@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_amounts_are_those_that_images_are_made_of(setup, noise):
    """Whatever the decoder says of amplitudes, where it has put the Gaussians."""
    rng, count = np.random.default_rng(1), 24
    batch = setup.forward.batch(np.arange(count))
    neutral = setup.neutral
    region = regions_of(neutral.positions.numpy(), 0)
    true = rng.uniform(0.0, 2.0, size=(count, region.max() + 1))
    moved = neutral.positions + torch.as_tensor(rng.normal(size=(count, 1, 3)), dtype=torch.float32)
    made = Gaussians(
        moved,
        neutral.amplitudes * torch.as_tensor(true[:, region], dtype=torch.float32),
        neutral.widths,
    )
    images = WhitenedImages.of(setup.forward, setup.objective)
    data = setup.forward.images_of(made, batch)
    # as strong in every whitened number
    root = images.root_weights
    white = torch.randn(data.shape, generator=torch.manual_seed(0), dtype=data.dtype)
    size = images.whitened(data).square().mean().sqrt()
    data = data + noise * size * white / root.clamp_min(1e-12) * (root > 0)
    shown = ParticleBatch(data, batch.ctf, batch.rotation)
    decoded = Gaussians(moved, 0.3 * neutral.amplitudes.expand(count, -1), neutral.widths)
    found = region_amounts(images, shown, decoded, neutral, region)
    np.testing.assert_allclose(found.decoded, 0.3, rtol=1e-5)
    if noise:
        away = (found.amount - true) / found.error
        assert 0.7 < np.sqrt((away**2).mean()) < 1.5
    else:
        np.testing.assert_allclose(found.amount, true, atol=0.02)
    assert (found.error >= 0).all()


def seen(true, decoded, seed, error=0.1) -> RegionAmounts:
    """Amounts measured in images of unlike contrast."""
    rng = np.random.default_rng(seed)
    contrast = np.exp(0.3 * rng.normal(size=(len(true), 1)))
    amount = contrast * (true + error * rng.normal(size=true.shape))
    return RegionAmounts(amount, error * contrast * np.ones(true.shape), decoded)


def test_a_side_that_is_missing_is_unusual():
    rng = np.random.default_rng(0)
    true = np.ones((1000, K))
    known = seen(true, true, seed=1)
    usual = UsualAmounts.of(known)
    broken = np.ones((100, K))
    for particle in broken:
        particle[rng.permutation(K)[:3]] = 0.0
    # the decoder makes up for some of it
    beyond = usual.beyond(seen(broken, 0.5 + 0.5 * broken, seed=2))
    assert np.median(usual.beyond(known)) < 1.5
    assert (beyond > np.quantile(usual.beyond(known), 0.99)).mean() > 0.95


@pytest.mark.parametrize("share", [0.02, 0.05, 0.5])
def test_a_state_that_the_decoder_knows_is_usual_however_rare(share):
    true = np.ones((2000, K))
    true[: int(share * 2000), 2] = 0.0
    known = seen(true, true, seed=3)
    beyond = UsualAmounts.of(known).beyond(known)
    rare = true[:, 2] == 0
    assert np.median(beyond[rare]) < 2.0
    unknown = UsualAmounts.of(seen(true, np.ones_like(true), seed=3)).beyond(known)
    if share < 0.1:
        assert np.median(unknown[rare]) > 4.0


@given(st.floats(0.01, 100.0), st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_contrast_makes_nothing_unusual(factor, seed):
    true = np.ones((200, K))
    known = seen(true, true, seed)
    scaled = RegionAmounts(factor * known.amount, factor * known.error, known.decoded)
    beyond = UsualAmounts.of(known).beyond(known)
    np.testing.assert_allclose(UsualAmounts.of(scaled).beyond(scaled), beyond, rtol=1e-6)


def test_a_fifth_of_junk_moves_what_is_usual_little():
    true = np.ones((1000, K))
    known = seen(true, true, seed=5)
    rng = np.random.default_rng(6)
    wild = RegionAmounts(
        rng.normal(size=(200, K)), 0.1 * np.ones((200, K)), rng.uniform(0, 2, size=(200, K))
    )
    mixed = RegionAmounts.of_columns(np.concatenate([known.columns, wild.columns]))
    assert mixed.columns.shape == (1200, 3 * K)
    alone, both = UsualAmounts.of(known), UsualAmounts.of(mixed)
    assert both.scale == pytest.approx(alone.scale, rel=0.1)
    # images of nothing are unusual all the same
    assert np.median(both.beyond(wild)) > np.quantile(both.beyond(known), 0.99)


def test_regions_are_compact_and_as_many_as_there_can_be():
    points = np.random.default_rng(0).normal(size=(300, 3))
    found = regions_of(points, 0)
    assert np.array_equal(np.unique(found), np.arange(REGIONS))
    centres = np.stack([points[found == k].mean(axis=0) for k in range(REGIONS)])
    nearest = np.linalg.norm(points[:, None] - centres, axis=2).argmin(axis=1)
    assert (nearest == found).mean() > 0.95
    assert np.array_equal(regions_of(points, 0), found)
    assert regions_of(points[:3], 0).max() == 2
