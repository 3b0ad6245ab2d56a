"""Anisotropic magnification, undone in the images.

An optics group's matrix M says which frequency of the projection an image shows,
``Y(k) = P(M k) exp(-2 pi i k . t)`` (Zivanov et al. 2020, IUCrJ 7, 253; CTF and
aberrations are functions of M k too). In real space the projection's point X lies
at ``M^T X + t``, so that

    corrected(x) = |det M| image(M^T x)

is the projection itself, with its CTF, at the shift ``M^-T t``, in pixels of the
nominal size. Resampling along one axis after the other (Catmull & Smith 1980),
each as a sum over the line's Fourier coefficients, is exact for the periodic image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    FloatArray = NDArray[np.float64]


def undo_magnification(images: Tensor, matrix: FloatArray) -> Tensor:
    """Images as they would be without the anisotropic magnification.

    Parameters
    ----------
    images : Tensor, shape (n, D, D)
        Of one optics group.
    matrix : array, shape (2, 2)
        M, acting on (x, y); near the unit matrix.

    Returns
    -------
    Tensor, shape (n, D, D)
    """
    (a, b), (c, d) = matrix.T
    offset = torch.arange(images.shape[-1], dtype=torch.float64) - images.shape[-1] // 2
    # along y, with the columns where they are: y as a function of x and the new y
    upright = _resampled(images.transpose(1, 2), d - b * c / a, (c / a) * offset)
    along_x = _resampled(upright.transpose(1, 2), a, b * offset)
    return along_x * abs(float(np.linalg.det(matrix)))


def corrected_shift(shift_angstrom: FloatArray, matrices: FloatArray) -> FloatArray:
    """Shifts ``M^-T t`` (P, 2) of the corrected images, of matrices (P, 2, 2)."""
    transposed = np.swapaxes(matrices, 1, 2)
    return np.asarray(np.linalg.solve(transposed, shift_angstrom[:, :, None])[:, :, 0], np.float64)


def _resampled(lines: Tensor, scale: float, offset: Tensor) -> Tensor:
    """Lines (n, R, D) at the places ``scale u + offset[r]`` about their centre, pixels."""
    box = lines.shape[-1]
    coefficients = torch.fft.rfft(torch.fft.ifftshift(lines, dim=-1), dim=-1)
    k = torch.arange(box // 2 + 1, dtype=torch.float64)
    turn = 2.0 * torch.pi / box * offset[:, None] * k
    coefficients = coefficients * torch.polar(torch.ones_like(turn), turn).to(coefficients.dtype)
    weight = torch.full_like(k, 2.0 / box)
    weight[0] = 1.0 / box
    if box % 2 == 0:
        weight[-1] = 1.0 / box
    place = scale * (torch.arange(box, dtype=torch.float64) - box // 2)
    angle = 2.0 * torch.pi / box * k[:, None] * place
    cosine, sine = weight[:, None] * torch.cos(angle), weight[:, None] * torch.sin(angle)
    kind = lines.dtype
    out: Tensor = coefficients.real @ cosine.to(kind) - coefficients.imag @ sine.to(kind)
    return out
