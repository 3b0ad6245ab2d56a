"""Is the model as large as the particles show it? A pixel size that is off by per cents is seen.

Table, headers and map may each give another pixel size, and calibrations differ
by a few per cent. The particles decide: the model is compared with them at
several sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.image_model.geometry import frc_of_rows, is_clear, sample_of
from cryoparts.seeds import Purpose
from cryoparts.statistics.by_image import first_rows

if TYPE_CHECKING:
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.image_model.losses import Band
    from cryoparts.particles.prepared import PreparedParticles

FACTORS = (0.90, 0.93, 0.95, 0.97, 0.98, 0.99, 1.01, 1.02, 1.03, 1.05, 1.07, 1.10)
FINEST_SHARE_OF_WIDTH = 0.3
"""Displacement at the model's radius of gyration, in the median width of its Gaussians, from
which on another size is more than their coarseness."""


@dataclass(frozen=True)
class ScaleCheck:
    """Agreement of the model with the particles at its own and at its best size.

    Parameters
    ----------
    factor : float
        Of the sizes compared, that of the highest mean FRC; 1 is the model's own.
    frc, best_frc : float
        Mean FRC at the model's own size and at the best.
    clear : bool
        Whether the gain, particle by particle, is more than five standard errors.
    """

    factor: float
    frc: float
    best_frc: float
    clear: bool


def check_scale(
    particles: PreparedParticles, model: GaussianModel, band: Band, seed: int = 0
) -> ScaleCheck:
    """Compare a sample of the particles with the model at several sizes.

    Parameters
    ----------
    particles : PreparedParticles
    model : GaussianModel
    band : Band
        Rings compared.
    seed : int
        Of the sample.
    """
    rows = sample_of(first_rows(particles.image), Purpose.SCALE_SAMPLE, seed)
    own = frc_of_rows(model, particles.poses, particles, band, rows)
    best, factor = own, 1.0
    for tried in FACTORS:
        sized = replace(model, positions=(model.positions * np.float32(tried)))
        found = frc_of_rows(sized, particles.poses, particles, band, rows)
        if found.mean() > best.mean():
            best, factor = found, tried
    # Centres of groups of atoms lie within the surface that the atoms reach: a coarse model is
    # a little too small by its making, by less than its own Gaussians are wide.
    radius = float(np.sqrt((model.positions**2).sum(axis=1).mean()))
    seen = abs(factor - 1.0) * radius > FINEST_SHARE_OF_WIDTH * float(np.median(model.widths))
    clear = seen and is_clear(best - own)
    return ScaleCheck(factor, float(own.mean()), float(best.mean()), clear)
