"""Insertion in whole numbers, as on a graphics processor, against the processor's kernel."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryoparts.reconstruction import device_insertion
from cryoparts.reconstruction.device_insertion import DeviceInserter
from cryoparts.reconstruction.insertion import ImageInserter, Members

HERE = torch.device("cpu")


def images(count: int, box: int, seed: int):
    """Half planes, CTFs, rotations and shifts."""
    rng = np.random.default_rng(seed)
    planes = np.fft.rfft2(rng.normal(size=(count, box, box))).astype(np.complex64)
    transfer = rng.normal(size=planes.shape).astype(np.float32)
    rotations = Rotation.random(count, random_state=seed).as_matrix()
    return planes, transfer, rotations, rng.normal(size=(count, 2))


def inserted(box: int, volumes: int, batches):
    """Sums of batches (planes, transfer, rotations, shifts, members)."""
    inserter = DeviceInserter(box, HERE, volumes=volumes)
    for planes, transfer, *rest in batches:
        inserter.add(torch.from_numpy(planes), torch.from_numpy(transfer), *rest)
    return list(inserter.finish())


@given(st.integers(1, 6), st.sampled_from([8, 12, 16]), st.integers(0, 999))
@settings(max_examples=15, deadline=None)
def test_it_is_what_the_processor_inserts(count, box, seed):
    batch = images(count, box, seed)
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, count, count)
    turned = Rotation.random(count, random_state=seed + 1).as_matrix()
    members = [
        Members(np.arange(count), rng.random(count)),
        Members(chosen, np.ones(count), turned, rng.normal(size=(count, 2))),
    ]
    kernel = ImageInserter(box, volumes=2)
    kernel.add(*batch, members)
    for found, wanted in zip(inserted(box, 2, [(*batch, members)]), kernel.finish(), strict=True):
        assert found.n_images == wanted.n_images == count
        size = np.abs(wanted.numerator).max()
        np.testing.assert_allclose(found.numerator, wanted.numerator, atol=3e-6 * size)
        np.testing.assert_allclose(found.weight, wanted.weight, atol=1e-5 * wanted.weight.max())


def test_the_order_changes_no_bit_and_batches_next_to_nothing(monkeypatch):
    planes, transfer, rotations, shifts = images(9, 16, 0)
    planes[0] *= 3  # the first image of the first batch sets the unit
    orders = [[range(9)], [range(5), range(5, 9)], [[0, 8, 3], [7, 1, 2, 4], [6, 5]]]
    sums = []
    for order in orders:
        batches = [[x[list(rows)] for x in (planes, transfer, rotations, shifts)] for rows in order]
        sums += inserted(16, 1, batches)
        monkeypatch.setattr(device_insertion, "SAMPLES_AT_A_TIME", 100 * len(sums))
    largest = np.abs(sums[0].numerator).max()
    for other in sums[1:]:
        # but for the rounding of single samples, and the unit, which is that of the first batch
        np.testing.assert_allclose(other.numerator, sums[0].numerator, atol=5e-7 * largest)
    monkeypatch.undo()
    backwards = [np.ascontiguousarray(x[::-1]) for x in (planes, transfer, rotations, shifts)]
    (again,) = inserted(16, 1, [backwards])
    assert np.array_equal(again.numerator, sums[0].numerator)
    assert np.array_equal(again.weight, sums[0].weight)


def test_no_images_leave_nothing():
    assert not inserted(8, 1, [])[0].weight.any()
    planes = np.zeros((1, 8, 5), np.complex64)
    (sums,) = inserted(8, 1, [(planes, planes.real, np.eye(3)[None], np.zeros((1, 2)))])
    assert sums.n_images == 1
    assert not sums.numerator.any()


def test_impossible_arguments():
    planes, transfer, rotations, shifts = images(2, 8, 0)
    with pytest.raises(ValueError, match="orthonormal"):
        inserted(8, 1, [(planes, transfer, 2 * rotations, shifts)])
    with pytest.raises(ValueError, match="even box"):
        inserted(8, 1, [(planes[:, :7], transfer[:, :7], rotations, shifts)])
    with pytest.raises(ValueError, match="in the batch"):
        inserted(8, 1, [(planes, transfer, rotations, shifts, [Members(np.array([2]), [1.0])])])
