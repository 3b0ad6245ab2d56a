"""How large the working images of a run are where the user does not say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.gaussians.from_file import model_volume
from cryoparts.gaussians.resolution import resolution_for_count
from cryoparts.image_model.losses import FINEST_PIXELS
from cryoparts.particles.resampling import DEFAULT_BOX

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.config import RunConfig
    from cryoparts.particle_files.particle_table import ParticleTable

SMALLEST_BOX = DEFAULT_BOX
"""Side, pixels, in which parts that come and go are seen; fewer only if the images are smaller."""

LARGEST_BOX = 128
"""Side, pixels, beyond which images take longer to read and compare than they tell more."""

FINEST_PIXEL_ANGSTROM = 3.0
"""Small motions are seen in detail: of a transporter in 12,800 images at SNR 0.05, maps at rest
were 79 to 89% of the way to those of true motions from pixels of 4.5 Å, 88 to 94% from 3 Å."""

MOST_GAUSSIANS = 4096
"""Finer pixels ask for more Gaussians, and twice as many for more time and memory than they
tell more (`cryoparts.gaussians.resolution`)."""

STEP = 16
"""Boxes are multiples of it, pixels: quick to transform, and few different ones."""

NYQUIST_MARGIN = 1.25
"""Finest resolution wanted over the Nyquist frequency of the working images: the outermost rings
are incomplete."""


def box_of(table: ParticleTable) -> tuple[int, float]:
    """Box (pixels) and pixel size (Å) of most particles."""
    return int(np.median(table.box_size)), float(np.median(table.pixel_size_angstrom))


def with_working_box(
    config: RunConfig, table: ParticleTable, model: Path | None = None
) -> RunConfig:
    """The options with the box size of the working images filled in.

    Where the options name the finest resolution, pixels that hold it. Else 64 pixels; more,
    up to 128, where Gaussians may move, pixels do not become finer than 3 Å and the model
    does not ask for more than 4,096 Gaussians. Never more pixels than the images have.

    Parameters
    ----------
    config : RunConfig
    table : ParticleTable
    model : Path or None
        The user's map or structure, from whose volume the number of Gaussians follows.

    Raises
    ------
    InputError
        If the model cannot be read.
    """
    if config.preprocessing.box_size is not None:
        return config
    own = int(table.box_size.min())
    extent = float((table.box_size * table.pixel_size_angstrom).min())
    fine = config.training.max_resolution_angstrom
    if fine is not None:
        chosen = max(16, 2 * int(np.ceil(NYQUIST_MARGIN * extent / fine)))
    elif own > SMALLEST_BOX and "position" in config.training.vary:
        pixel = max(FINEST_PIXEL_ANGSTROM, _finest_pixel(config, table, model))
        wanted = STEP * int(extent / pixel / STEP + 1e-6)
        chosen = min(max(wanted, SMALLEST_BOX), LARGEST_BOX)
    else:
        chosen = SMALLEST_BOX
    return replace(config, preprocessing=replace(config.preprocessing, box_size=min(own, chosen)))


def _finest_pixel(config: RunConfig, table: ParticleTable, model: Path | None) -> float:
    """Pixel (Å) below which the model would ask for too many Gaussians; 0 where it never does."""
    if model is None:
        return 0.0
    box, pixel = box_of(table)
    seen_at = FINEST_PIXELS * max(FINEST_PIXEL_ANGSTROM, pixel)
    volume = model_volume(model, config.gaussians, seen_at, box, pixel)
    return 0.0 if volume is None else resolution_for_count(volume, MOST_GAUSSIANS) / FINEST_PIXELS
