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
import torch

from cryoparts.image_model.deformation import Gaussians
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
    images = WhitenedImages.of(setup.forward, setup.objective)
    shape = (len(rows), len(setup.neutral.amplitudes))
    own, strange = np.empty(shape, dtype=np.float32), np.empty(shape, dtype=np.float32)
    for start in range(0, len(rows), BATCH):
        place = slice(start, min(start + BATCH, len(rows)))
        batch = setup.forward.batch(rows[place])
        with torch.no_grad():
            gaussians = trained.gaussians_of(setup.neutral, rows[place])
            data, model = images.whitened(batch.data), images.of_gaussians(gaussians, batch)
            power = model.square().sum(dim=1, keepdim=True).clamp_min(1e-30)
            left = data - (model * data).sum(dim=1, keepdim=True) / power * model
            left = left / left.square().mean(dim=1, keepdim=True).sqrt().clamp_min(1e-30)
            strangers = left.roll(STRANGER, dims=0)
            # what changes the whole model's scale tells nothing
            strangers = strangers - (strangers * model).sum(dim=1, keepdim=True) / power * model
        shown = gaussians.amplitudes.expand(len(data), -1).clone().requires_grad_()
        positions, widths = gaussians.positions, gaussians.widths
        image = images.of_gaussians(Gaussians(positions, shown, widths), batch)
        asked, noise = (
            torch.autograd.grad((image * residual).sum(), shown, retain_graph=True)[0]
            for residual in (left, strangers)
        )
        own[place] = (asked * setup.neutral.amplitudes).cpu().numpy()
        strange[place] = (noise * setup.neutral.amplitudes).cpu().numpy()
        if progress is not None:
            progress(place.stop, len(rows))
    return ResidualGradients(own, strange)
