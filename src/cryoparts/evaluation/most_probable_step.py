"""One Gauss-Newton step of a solver that is told what an image shows, but for a few unknowns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor

    from cryoparts.conventions import FloatArray
    from cryoparts.evaluation.oracle import FitInputs


def most_probable_step(
    inputs: FitInputs, weights: Tensor, unknowns: FloatArray, variance: float | FloatArray
) -> FloatArray:
    """Change of the unknowns (B, R) to the maximum of the linearised posterior.

    Minimises ``sum_k w |Y - s (M + sum_r D_r d_r)|² + sum_r (t_r + d_r)² / variance_r`` for
    the scale s and the steps d, with M the model at the unknowns t and D its derivatives.

    Parameters
    ----------
    inputs : FitInputs
        Of B images; its templates are M and D.
    weights : Tensor, shape (B, D, D // 2 + 1)
        Inverse noise power, conjugate pairs counted twice; 0 leaves out.
    unknowns : array, shape (B, R)
        t, of mean 0.
    variance : float or array, shape (R,)
        Of the prior.
    """
    root = weights.sqrt()
    rows = torch.view_as_real(inputs.templates * root[:, None]).flatten(2).double()
    right = torch.view_as_real(inputs.images * root).flatten(1).double()
    normal = (rows @ rows.transpose(1, 2)).numpy()
    target = (rows @ right[..., None])[..., 0].numpy()
    scale = target[:, 0] / np.maximum(normal[:, 0, 0], 1e-30)
    scale = np.where(np.abs(scale) > 1e-12, scale, 1e-12)
    # Solved for (s, s d): the prior on t + d is one on s d, with the scale found so far.
    precision = 1.0 / (scale[:, None] ** 2 * np.broadcast_to(variance, unknowns.shape))
    diagonal = np.arange(1, normal.shape[1])
    normal[:, diagonal, diagonal] += precision
    target[:, 1:] -= precision * scale[:, None] * unknowns
    solved = np.linalg.solve(normal, target[..., None])[..., 0]
    found = np.where(np.abs(solved[:, :1]) > 1e-12, solved[:, :1], 1e-12)
    step: FloatArray = solved[:, 1:] / found
    return step
