"""Particles that the model describes, and those that it does not: images and probabilities."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

from cryoparts.figures.pictures import data_uri, new_figure, picture_of
from cryoparts.palette import INK, MUTED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.figures.pictures import Picture

    FloatArray = NDArray[np.float64]

LOW_PASS_ANGSTROM = 30.0
"""At which the filtered images have half of their amplitude."""

LARGEST_TILE = 96
"""Pixels of a tile's side: larger images are shown on every second pixel, and so on."""

_HALF_AMPLITUDE = np.sqrt(np.log(2.0) / 2.0) / np.pi
"""Deviation of a Gaussian filter over the resolution at which it passes half."""


def filtered(image: NDArray[np.float32], pixel_size_angstrom: float) -> NDArray[np.float32]:
    """An image (D, D) without detail finer than `LOW_PASS_ANGSTROM`."""
    smooth: NDArray[np.float32] = gaussian_filter(
        image, _HALF_AMPLITUDE * LOW_PASS_ANGSTROM / pixel_size_angstrom
    )
    return smooth


def tile(image: NDArray[np.float32]) -> str:
    """An image (D, D) as an address that needs no network, grey from its 1% to its 99% quantile."""
    every = -(-len(image) // LARGEST_TILE)
    small = image[::every, ::every]
    low, high = np.quantile(small, [0.01, 0.99])
    grey = np.clip((small - low) / max(float(high - low), 1e-12), 0, 1)
    written = io.BytesIO()
    Image.fromarray(np.rint(255 * grey).astype(np.uint8)).save(written, "png", optimize=True)
    return data_uri(written.getvalue())


def probability_histogram(probability: FloatArray, border: float) -> Picture:
    """Particles by the probability that they are what the model describes."""
    with new_figure(4.6, 2.5) as figure:
        axes = figure.subplots()
        axes.hist(probability, bins=np.linspace(0, 1, 41).tolist(), color=MUTED, log=True)
        axes.axvline(border, color=INK, linestyle="--", linewidth=1)
        axes.set(xlabel="probability (0 to 1)", ylabel="particles (logarithmic)", xlim=(0, 1))
        return picture_of(
            figure,
            "junk_probability",
            "Particles by the probability that they are what the model describes, in the pose "
            "that is given. Left of the dashed line they are called junk.",
        )
