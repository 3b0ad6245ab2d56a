from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.spatial.transform import Rotation

from cryoparts.reconstruction.insertion import (
    FourierSums,
    ImageInserter,
    Members,
    insert_images,
    symmetrised,
)


def whole_volume(rng, box):
    """The centred, full transform [z, y, x] of a real map without Nyquist frequencies."""
    density = rng.normal(size=(box, box, box))
    full = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(density)))
    full[0] = full[:, 0] = full[:, :, 0] = 0
    return full


def sliced(full, rotation, shift, box):
    """Trilinear central slice, with the shift, of a full transform; a plain reference."""
    kx = np.arange(box // 2 + 1)
    ky = np.fft.fftfreq(box, 1 / box)
    grid = np.stack([*np.meshgrid(kx, ky, indexing="xy"), np.zeros((box, len(kx)))], axis=-1)
    place = grid @ rotation  # R^T k as a row vector
    index = [place[..., axis].ravel() + box // 2 for axis in (2, 1, 0)]
    parts = [
        map_coordinates(part, index, order=1, mode="grid-constant")
        for part in (full.real, full.imag)
    ]
    plane = (parts[0] + 1j * parts[1]).reshape(box, -1)
    ramp = np.exp(-2j * np.pi * (grid[..., 0] * shift[0] + grid[..., 1] * shift[1]) / box)
    inside = (grid**2).sum(-1) <= (box // 2 - 0.5) ** 2
    return plane * ramp * inside


@given(st.integers(0, 10_000), st.sampled_from([8, 12, 16]))
@settings(max_examples=15, deadline=None)
def test_insertion_is_the_adjoint_of_slicing(seed, box):
    """<slice(V), Y> = <V, insert(Y)> for every map V and image Y."""
    rng = np.random.default_rng(seed)
    full = whole_volume(rng, box)
    rotation = Rotation.random(random_state=seed).as_matrix()
    shift = rng.uniform(-2, 2, 2)
    transfer = rng.normal(size=(box, box // 2 + 1)).astype(np.float32)
    image = np.fft.rfft2(rng.normal(size=(box, box))).astype(np.complex64)
    image[0, 0] = image[0, 0].real

    weights = np.full(box // 2 + 1, 2.0)
    weights[0] = 1.0
    plane = sliced(full, rotation, shift, box) * transfer
    # column 0 of a real image's transform holds both of each pair; make it so
    left = (weights * (plane.conj() * image).real)[:, 1 : box // 2].sum()
    column = (plane.conj() * image).real[:, 0]
    left += column[0] + 2 * column[1 : box // 2].sum()

    sums = symmetrised(
        insert_images(image[None], transfer[None], rotation[None], shift[None])
    ).numerator
    half = np.fft.ifftshift(full)[:, :, : box // 2 + 1]
    right = (weights * (half.conj() * sums).real).sum()
    assert left == pytest.approx(right, rel=2e-3, abs=2e-3 * np.abs(plane).max() * box)


def test_weights_are_the_insertion_of_squared_ctf():
    rng = np.random.default_rng(0)
    box = 16
    transfer = rng.normal(size=(3, box, box // 2 + 1)).astype(np.float32)
    rotations, shifts = Rotation.random(3, random_state=1).as_matrix(), np.zeros((3, 2))
    sums = symmetrised(insert_images(transfer.astype(np.complex64), transfer, rotations, shifts))
    np.testing.assert_allclose(sums.numerator.real, sums.weight, rtol=1e-4, atol=1e-5)
    # what is real and even comes from a real image only if the mates agree; weights do
    plane = sums.weight[:, :, 0]
    np.testing.assert_allclose(plane, np.roll(plane[::-1, ::-1], 1, (0, 1)), atol=1e-5)


def test_threads_share_the_images():
    rng = np.random.default_rng(2)
    shape = (7, 16, 9)
    planes = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    transfer = rng.normal(size=shape).astype(np.float32)
    rotations, shifts = Rotation.random(7, random_state=3).as_matrix(), rng.normal(size=(7, 2))
    one = insert_images(planes, transfer, rotations, shifts)
    three = insert_images(planes, transfer, rotations, shifts, threads=3)
    assert one.n_images == three.n_images == 7
    np.testing.assert_allclose(one.numerator, three.numerator, atol=1e-4)
    np.testing.assert_allclose(one.weight, three.weight, atol=1e-4)
    both = insert_images(planes[:3], transfer[:3], rotations[:3], shifts[:3]) + insert_images(
        planes[3:], transfer[3:], rotations[3:], shifts[3:]
    )
    np.testing.assert_allclose(one.numerator, both.numerator, atol=1e-4)


def test_a_weight_of_two_is_the_image_twice():
    rng = np.random.default_rng(3)
    shape = (3, 16, 9)
    planes = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    transfer = rng.normal(size=shape).astype(np.float32)
    rotations = Rotation.random(3, random_state=3).as_matrix()
    shifts = rng.normal(size=(3, 2))
    weighted = insert_images(planes, transfer, rotations, shifts, weights=np.array([2.0, 0, 1]))
    twice = [0, 0, 2]
    again = insert_images(planes[twice], transfer[twice], rotations[twice], shifts[twice])
    np.testing.assert_allclose(weighted.numerator, again.numerator, atol=1e-4)
    np.testing.assert_allclose(weighted.weight, again.weight, atol=1e-4)


def test_batches_add_up():
    rng = np.random.default_rng(4)
    shape = (5, 16, 9)
    planes = (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
    transfer = rng.normal(size=shape).astype(np.float32)
    rotations = Rotation.random(5, random_state=3).as_matrix()
    shifts = rng.normal(size=(5, 2))
    inserter = ImageInserter(16, threads=2)
    for rows in (slice(0, 3), slice(3, 5)):
        inserter.add(planes[rows], transfer[rows], rotations[rows], shifts[rows])
    (sums,) = inserter.finish()
    whole = insert_images(planes, transfer, rotations, shifts)
    assert sums.n_images == 5
    np.testing.assert_allclose(sums.numerator, whole.numerator, atol=1e-4)
    np.testing.assert_allclose(sums.weight, whole.weight, atol=1e-4)


def test_no_images_leave_nothing():
    none = np.zeros((0, 8, 5), np.complex64)
    sums = insert_images(none, none.real, np.zeros((0, 3, 3)), np.zeros((0, 2)))
    assert sums.n_images == 0
    assert not sums.weight.any()


def test_impossible_arguments():
    plane, transfer = np.zeros((1, 8, 5), np.complex64), np.zeros((1, 8, 5), np.float32)
    with pytest.raises(ValueError, match="orthonormal"):
        insert_images(plane, transfer, 2 * np.eye(3)[None], np.zeros((1, 2)))
    with pytest.raises(ValueError, match="even box"):
        insert_images(plane[:, :7], transfer[:, :7], np.eye(3)[None], np.zeros((1, 2)))
    assert FourierSums.empty(8).weight.shape == (8, 8, 5)


def test_an_image_goes_into_each_volume_in_a_pose_of_its_own():
    """Two volumes of one batch, the second in other poses, are two batches alone."""
    rng = np.random.default_rng(8)
    planes = np.fft.rfft2(rng.normal(size=(4, 16, 16))).astype(np.complex64)
    transfer = rng.normal(size=planes.shape).astype(np.float32)
    one, other = (Rotation.random(4, random_state=s).as_matrix() for s in (1, 2))
    shifts, moved = rng.normal(size=(2, 4, 2))
    chosen = np.array([0, 2, 3])
    for threads in (1, 3, 5):
        inserter = ImageInserter(16, volumes=2, threads=threads)
        members = [
            Members(np.arange(4), np.ones(4)),
            Members(chosen, np.ones(3), other[chosen], moved[chosen]),
        ]
        inserter.add(planes, transfer, one, shifts, members)
        expected = [
            insert_images(planes, transfer, one, shifts),
            insert_images(planes[chosen], transfer[chosen], other[chosen], moved[chosen]),
        ]
        for sums, alone in zip(inserter.finish(), expected, strict=True):
            np.testing.assert_allclose(sums.numerator, alone.numerator, atol=1e-3)
            np.testing.assert_allclose(sums.weight, alone.weight, atol=1e-3)
            assert sums.n_images == alone.n_images
    with pytest.raises(ValueError, match="one rotation and one shift"):
        ImageInserter(16).add(
            planes, transfer, one, shifts, [Members(chosen, np.ones(3), other, moved)]
        )
