"""Slabs of a volume share every sample among threads, and none is lost or counted twice."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryoparts.reconstruction.insertion import FourierSums, ImageInserter, insert_images
from cryoparts.reconstruction.slabs import ACROSS_Y, ACROSS_Z, slabs_for

VIEWS = {
    "any": lambda count, seed: Rotation.random(count, random_state=seed).as_matrix(),
    "from above": lambda count, seed: np.broadcast_to(np.eye(3), (count, 3, 3)),
    "about an axis": lambda count, seed: Rotation.from_euler(
        "x", 90 * np.arange(count)[:, None], degrees=True
    ).as_matrix(),
    "about z": lambda count, seed: Rotation.from_euler(
        "z", 37 * np.arange(count)[:, None], degrees=True
    ).as_matrix(),
}


def batch(count, box, seed):
    rng = np.random.default_rng(seed)
    planes = np.fft.rfft2(rng.normal(size=(count, box, box))).astype(np.complex64)
    transfer = rng.normal(size=planes.shape).astype(np.float32)
    return planes, transfer, rng.normal(size=(count, 2))


@given(
    st.sampled_from(list(VIEWS)),
    st.integers(0, 1000),
    st.sampled_from([8, 14, 32]),
    st.integers(1, 40),
)
@settings(max_examples=60, deadline=None)
def test_every_plane_is_in_one_slab(views, seed, box, count):
    slabs = slabs_for(VIEWS[views](3, seed), box, count)
    planes = [plane for slab in slabs for run in slab.runs for plane in range(*run)]
    assert sorted(planes) == list(range(-box // 2, box // 2 + 1))
    assert len(slabs) <= count
    # D / 2 and -D / 2 are one plane of the volume
    (holds_rim,) = [s for s in slabs if any(low <= box // 2 < high for low, high in s.runs)]
    assert any(low <= -box // 2 < high for low, high in holds_rim.runs)


@given(
    st.sampled_from(list(VIEWS)),
    st.integers(0, 1000),
    st.sampled_from([8, 14, 32]),
    st.integers(2, 9),
)
@settings(max_examples=40, deadline=None)
def test_sums_do_not_depend_on_the_number_of_threads(views, seed, box, threads):
    planes, transfer, shifts = batch(5, box, seed)
    rotations = VIEWS[views](5, seed)
    one = insert_images(planes, transfer, rotations, shifts)
    several = insert_images(planes, transfer, rotations, shifts, threads=threads)
    scale = np.abs(one.numerator).max()
    np.testing.assert_allclose(several.numerator, one.numerator, rtol=0, atol=1e-6 * scale)
    np.testing.assert_allclose(several.weight, one.weight, rtol=0, atol=1e-6 * one.weight.max())


@pytest.mark.parametrize("views", list(VIEWS))
def test_work_is_even_whatever_the_views(views):
    box, count = 64, 4
    planes, transfer, shifts = batch(6, box, seed=1)
    rotations = VIEWS[views](6, 1)
    slabs = slabs_for(rotations, box, count)
    assert len(slabs) >= 3  # a plane that is half of the samples is one slab
    weight = insert_images(planes, np.ones_like(transfer), rotations, shifts).weight
    if slabs[0].axis == ACROSS_Y:
        weight = weight.transpose(1, 0, 2)
    loads = [sum(weight[range(*run)].sum() for run in slab.runs) for slab in slabs]
    assert max(loads) < 0.55 * sum(loads)


def test_views_from_above_are_cut_across_y():
    assert {slab.axis for slab in slabs_for(VIEWS["from above"](4, 0), 32, 4)} == {ACROSS_Y}
    assert {slab.axis for slab in slabs_for(VIEWS["about an axis"](2, 0), 32, 1)} == {ACROSS_Z}


def test_threads_cost_no_volumes():
    box = 64
    planes, transfer, shifts = batch(4, box, seed=2)
    rotations = VIEWS["any"](4, 2)
    insert_images(planes, transfer, rotations, shifts, threads=2)  # what is compiled stays
    volume = FourierSums.empty(box)
    tracemalloc.start()
    try:
        inserter = ImageInserter(box, threads=16)
        inserter.add(planes, transfer, rotations, shifts)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2 * (volume.numerator.nbytes + volume.weight.nbytes)
