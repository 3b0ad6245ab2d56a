"""What the images still ask of each Gaussian's amplitude once the decoder has said all it knows.

For a particle whose model is right, the gradient of its likelihood with respect to an
amplitude is noise, and how large that noise is the residuals of other particles tell, put in
the place of its own. A region that comes and goes without the decoder knowing makes the
gradients of its Gaussians rise and fall together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.parallel.current import team
from cryoparts.refinement.residuals import Residuals
from cryoparts.refinement.whitened_images import WhitenedImages

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.training.setup import TrainingSetup

    FloatArray = NDArray[np.float32]

BATCH = 64

STRANGER = 7
"""Places by which residuals are passed on within a batch, to other poses and CTFs."""


@dataclass(frozen=True)
class ResidualGradients:
    """Gradients of n particles, and those that residuals of other particles give.

    Parameters
    ----------
    own, strange : float32 array, shape (n, N)
        By each Gaussian's amplitude relative to the neutral one, in deviations of the noise.
    """

    own: FloatArray
    strange: FloatArray


def residual_gradients(
    trained: TrainedDecoder,
    setup: TrainingSetup,
    rows: NDArray[np.int64],
    progress: Callable[[int, int], None] | None = None,
) -> ResidualGradients:
    """Measure them for the particles `rows`, at their refined latent vectors."""
    shape = (len(rows), len(setup.neutral.amplitudes))
    own, strange = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
    for place, found in team().sweep(_Asked(trained, setup), rows, BATCH, progress):
        own[place], strange[place] = found
    return ResidualGradients(own, strange)


@dataclass(frozen=True)
class _Asked:
    """Gradients (n, N) of a batch of particles, and those of residuals passed on within it."""

    trained: TrainedDecoder
    setup: TrainingSetup

    def __call__(self, rows: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Of the particles `rows`."""
        setup = self.setup
        images = WhitenedImages.of(setup.forward, setup.objective)
        gaussians = self.trained.gaussians_of(setup.neutral, rows)
        residuals = Residuals.of(images, setup.forward.batch(rows), gaussians)
        asked, noise = residuals.asked(residuals.left, residuals.passed_on(STRANGER))
        scale = setup.neutral.amplitudes
        return (asked * scale).cpu().numpy(), (noise * scale).cpu().numpy()
