"""Do all rows of an image fit the model? Where a symmetry's axes lie elsewhere, only one does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.image_model.geometry import frc_of_rows, sample_of
from cryoparts.seeds import Purpose
from cryoparts.statistics.by_image import first_rows, one_row_each

if TYPE_CHECKING:
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.image_model.losses import Band
    from cryoparts.particles.prepared import PreparedParticles

SHARE_LOST = 0.1
"""Of the first rows' mean FRC; copies of a symmetric molecule lose none of it."""


@dataclass(frozen=True)
class CopiesCheck:
    """Agreement with the model of the first row of each image, and of another.

    Parameters
    ----------
    images : int
        Images compared.
    first, others : float
        Mean FRC over the images.
    standard_error : float
        Of the difference of the two.
    """

    images: int
    first: float
    others: float
    standard_error: float

    @property
    def others_fit_worse(self) -> bool:
        """Whether the copies agree beyond doubt, and by more than a tenth, less than the first."""
        lost = self.first - self.others
        return lost > max(5 * self.standard_error, SHARE_LOST * self.first)


def check_copies(
    particles: PreparedParticles, model: GaussianModel, band: Band, seed: int = 0
) -> CopiesCheck | None:
    """Compare the model with up to 200 images by their first row and by another one.

    Returns
    -------
    CopiesCheck or None
        None where no image has two rows.
    """
    image = particles.image
    first = first_rows(image)
    rest = np.setdiff1d(np.arange(len(image)), first)
    if not len(rest):
        return None
    other = rest[one_row_each(image[rest], seed)]
    other = sample_of(other, Purpose.COPIES_SAMPLE, seed)
    count = len(other)
    scores = [
        frc_of_rows(model, particles.poses, particles, band, rows)
        for rows in (first[image[other]], other)
    ]
    error = float((scores[0] - scores[1]).std() / np.sqrt(count))
    return CopiesCheck(count, float(scores[0].mean()), float(scores[1].mean()), error)
