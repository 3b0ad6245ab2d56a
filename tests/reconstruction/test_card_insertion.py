"""Insertion by torch's operations is the processor's insertion."""

from __future__ import annotations

import logging

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryoparts.reconstruction import backprojection, card_insertion
from cryoparts.reconstruction.backprojection import Chosen, gather
from cryoparts.reconstruction.card_insertion import CardInserter
from cryoparts.reconstruction.insertion import ImageInserter, Members
from toy_particles import Blobs, toy_particles


def batch(rng, count, box):
    shape = (count, box, box // 2 + 1)
    planes = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    transfer = rng.normal(size=shape).astype(np.float32)
    rotations = Rotation.random(count, random_state=int(rng.integers(1 << 30))).as_matrix()
    return planes, transfer, rotations, rng.uniform(-3, 3, (count, 2))


def on_both(box, members, *batches):
    here = ImageInserter(box, volumes=len(members))
    there = CardInserter(box, volumes=len(members), device=torch.device("cpu"))
    for planes, transfer, rotations, shifts in batches:
        here.add(planes, transfer, rotations, shifts, members)
        tensors = torch.from_numpy(planes), torch.from_numpy(transfer)
        there.add(*tensors, rotations, shifts, members)
    return zip(here.finish(), there.finish(), strict=True)


def assert_same(one, other):
    assert one.n_images == other.n_images
    scale = np.abs(one.numerator).max()
    np.testing.assert_allclose(other.numerator, one.numerator, atol=2e-5 * scale)
    np.testing.assert_allclose(other.weight, one.weight, atol=2e-5 * one.weight.max())


@given(st.integers(0, 10_000), st.sampled_from([8, 12, 32]), st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_the_sums_are_the_processors(seed, box, count):
    rng = np.random.default_rng(seed)
    some = np.flatnonzero(rng.random(count) < 0.6)
    own = Rotation.random(len(some), random_state=seed).as_matrix() if len(some) else None
    members = [
        Members(np.arange(count), rng.random(count)),
        Members(
            some,
            rng.random(len(some)),
            own,
            None if own is None else rng.normal(size=(len(some), 2)),
        ),
    ]
    for one, other in on_both(box, members, batch(rng, count, box), batch(rng, count, box)):
        assert_same(one, other)


def test_images_on_the_axes_fall_on_the_same_voxels():
    """Where every sample lies on a voxel, and half of them on the plane that is mirrored."""
    rng = np.random.default_rng(3)
    planes, transfer, _, shifts = batch(rng, 24, 16)
    rotations = Rotation.create_group("O").as_matrix()
    members = [Members(np.arange(24), np.ones(24))]
    for one, other in on_both(16, members, (planes, transfer, rotations, shifts)):
        assert_same(one, other)


def test_images_are_inserted_a_few_at_a_time(monkeypatch):
    rng = np.random.default_rng(4)
    members, own = [Members(np.arange(7), rng.random(7))], batch(rng, 7, 16)
    ((_, whole),) = on_both(16, members, own)
    monkeypatch.setattr(card_insertion, "SAMPLES_AT_ONCE", 250)
    ((_, parts),) = on_both(16, members, own)
    assert_same(whole, parts)


def test_sums_that_do_not_fit_on_the_card_are_made_on_the_processor(monkeypatch, caplog):
    particles = toy_particles(Blobs(np.zeros((1, 3)), np.ones(1), 6.0), 6, 16, 4.0, noise=0.1)
    monkeypatch.setattr(backprojection, "room_on", lambda _: 1000.0)
    with caplog.at_level(logging.WARNING):
        (sums,) = gather(particles, [Chosen(np.arange(6))], device=torch.device("meta"))
    assert sums.n_images == 6
    assert "do not fit on the card" in caplog.text
