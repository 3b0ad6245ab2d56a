"""Images as sums of templates, each times an amplitude: weighted least squares."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_RIDGE = 1e-6
"""Of the mean diagonal: a template may be almost nothing in the band."""


def fit_templates(templates: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Amplitudes (B, G) and normal matrices (B, G, G), in double precision.

    Parameters
    ----------
    templates : Tensor, shape (B, G, M)
        Real numbers, each times the root of its weight.
    images : Tensor, shape (B, M)
        The same of the images.
    """
    normal = (templates @ templates.transpose(1, 2)).double()
    ridge = _RIDGE * normal.diagonal(dim1=1, dim2=2).mean(dim=1) + 1e-30
    eye = torch.eye(normal.shape[1], dtype=torch.float64, device=normal.device)
    normal = normal + ridge[:, None, None] * eye
    right = (templates @ images[..., None])[..., 0].double()
    # _ex: whether it was solvable is not read back, and with the ridge it is
    amplitudes: Tensor = torch.linalg.solve_ex(normal, right)[0]
    return amplitudes, normal
