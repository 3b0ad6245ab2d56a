"""Transforms, frequencies, shifts, cropping and rings against numpy's full transforms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.imaging.fourier import (
    fourier_crop,
    frequency_grid,
    inverse_transform,
    ring_count,
    ring_frequencies,
    ring_index,
    ring_weights,
    shift_phases,
    transform,
)


def images(count: int, box: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, box, box, generator=generator, dtype=torch.float64)


@settings(max_examples=20, deadline=None)
@given(box=st.integers(1, 12), pixel_size=st.floats(0.5, 6.0))
def test_the_transform_is_its_defining_sum(box, pixel_size):
    image = images(1, box)[0]
    grid = frequency_grid(box, pixel_size).double()
    pixel = torch.arange(box, dtype=torch.float64) - box // 2
    x, y = pixel[None, :], pixel[:, None]
    phase = grid[..., 0, None, None] * x * pixel_size + grid[..., 1, None, None] * y * pixel_size
    expected = (image * torch.exp(-2j * math.pi * phase)).sum((-2, -1))
    assert torch.allclose(transform(image), expected, atol=1e-4)


@settings(max_examples=15, deadline=None)
@given(box=st.integers(1, 24))
def test_the_inverse_gives_the_images_back(box):
    several = images(3, box)
    assert torch.allclose(inverse_transform(transform(several)), several)


def test_empty_sets_are_transformed():
    nothing = torch.zeros(0, 6, 6, requires_grad=True)
    half_planes = transform(nothing)
    assert half_planes.shape == (0, 6, 4)
    assert half_planes.is_complex()
    assert inverse_transform(half_planes).shape == (0, 6, 6)
    assert fourier_crop(nothing, 4).shape == (0, 4, 4)


@pytest.mark.parametrize("box", [8, 9])
def test_a_centred_symmetric_object_has_a_real_transform(box):
    pixel = torch.arange(box) - box // 2
    blob = torch.exp(-0.5 * (pixel[:, None] ** 2 + pixel[None, :] ** 2) / 1.0)
    half_plane = transform(blob)
    assert half_plane.imag.abs().max() < 1e-3 * half_plane.real.abs().max()
    assert float(half_plane[0, 0].real) == pytest.approx(float(blob.sum()))


def test_a_shift_by_whole_pixels_rolls_the_image():
    image = images(1, 16)
    phases = shift_phases(torch.tensor([[6.0, -4.0]], dtype=torch.float64), 16, 2.0)
    moved = inverse_transform(transform(image) * phases)
    assert torch.allclose(moved, image.roll((-2, 3), (1, 2)))


def test_shifts_add_up_and_have_gradients():
    a, b = torch.tensor([[1.2, -0.4]]), torch.tensor([[-3.0, 2.2]])
    product = shift_phases(a, 9, 1.5) * shift_phases(b, 9, 1.5)
    assert torch.allclose(shift_phases(a + b, 9, 1.5), product, atol=1e-5)
    shift = torch.randn(2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: shift_phases(t, 6, 1.5), [shift])


@settings(max_examples=20, deadline=None)
@given(box=st.integers(4, 30), data=st.data())
def test_cropping_keeps_what_the_coarse_grid_can_hold(box, data):
    new = data.draw(st.integers(2, box))
    # A sum of waves well inside the coarse band, sampled on both grids.
    generator = torch.Generator().manual_seed(box)
    highest = max(0, (new - 1) // 2)
    waves = torch.randint(-highest, highest + 1, (5, 2), generator=generator).double()
    heights = torch.randn(5, generator=generator).double()

    def sampled(size: int) -> torch.Tensor:
        pixel = (torch.arange(size, dtype=torch.float64) - size // 2) / size
        angle = waves[:, 0, None, None] * pixel + waves[:, 1, None, None] * pixel[:, None]
        return (heights[:, None, None] * torch.cos(2 * math.pi * angle + 0.3)).sum(0)

    assert torch.allclose(fourier_crop(sampled(box), new), sampled(new), atol=1e-10)


def test_cropping_keeps_mean_and_low_frequencies():
    image = images(2, 20)
    small = fourier_crop(image, 12)
    assert torch.allclose(small.mean((1, 2)), image.mean((1, 2)))
    scale = (12 / 20) ** 2
    assert torch.allclose(
        transform(small)[:, :6, :6], scale * transform(image)[:, :6, :6], atol=1e-10
    )
    assert torch.equal(fourier_crop(image, 20), image)


def test_cropping_a_flipped_image_flips_the_result_at_even_boxes():
    # Fails when the Nyquist row keeps one of its two signs alone.
    image = images(1, 16)[0]
    flipped = image.flip(0).roll(1, 0)  # y to -y about pixel 8
    small = fourier_crop(image, 8)
    assert torch.allclose(fourier_crop(flipped, 8), small.flip(0).roll(1, 0))


@pytest.mark.parametrize("new", [0, 17])
def test_cropping_to_an_impossible_box_is_refused(new):
    with pytest.raises(ValueError, match="cannot crop images of 16 pixels"):
        fourier_crop(images(1, 16), new)


@settings(max_examples=15, deadline=None)
@given(box=st.integers(1, 33))
def test_rings_and_weights_are_those_of_the_full_plane(box):
    k = np.fft.fftfreq(box, 1.0 / box)
    full = np.rint(np.hypot(k[:, None], k)).astype(int)
    counts = np.bincount(full.ravel())
    index, weights = ring_index(box), ring_weights(box)
    assert index.dtype == torch.int64
    assert index.shape == weights.shape == (box, box // 2 + 1)
    halved = np.bincount(index.flatten().numpy(), weights=weights.flatten().numpy())
    assert np.array_equal(halved, counts)
    assert ring_count(box) == box // 2 + 1


def test_ring_frequencies_reach_nyquist():
    frequencies = ring_frequencies(64, 5.0)
    assert frequencies.shape == (33,)
    assert float(frequencies[32]) == pytest.approx(0.1)
