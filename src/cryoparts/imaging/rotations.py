"""Rotation matrices: uniformly random ones, ones about an axis, ones of rotation vectors."""

from __future__ import annotations

import torch
from torch import Tensor


def random_rotations(
    count: int, generator: torch.Generator, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Rotations drawn uniformly (Haar measure) from SO(3).

    A normally distributed quaternion has a uniformly distributed direction, and
    unit quaternions cover SO(3) evenly (Shoemake 1992, Graphics Gems III).

    Parameters
    ----------
    count : int
    generator : torch.Generator
        The only source of randomness; the result is on its device.
    dtype
        Of the result.

    Returns
    -------
    Tensor, shape (count, 3, 3)
    """
    quaternion = torch.randn(
        count, 4, generator=generator, dtype=torch.float64, device=generator.device
    )
    w, x, y, z = torch.nn.functional.normalize(quaternion, dim=1).unbind(1)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2).to(dtype)


def rotation_about_axis(axis: Tensor, angle_degrees: Tensor) -> Tensor:
    """Rotations about given axes (Rodrigues' formula), right-handed.

    Parameters
    ----------
    axis : Tensor, shape (..., 3)
        Directions, of any length but 0.
    angle_degrees : Tensor, shape (...)
        Broadcast against the axes.

    Returns
    -------
    Tensor, shape (..., 3, 3)

    Raises
    ------
    ValueError
        If an axis has no length.
    """
    length = axis.norm(dim=-1, keepdim=True)
    if bool((length == 0).any()):
        raise ValueError("an axis of rotation must not be the zero vector")
    x, y, z = (axis / length).unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    cross = cross.reshape(*cross.shape[:-1], 3, 3)
    angle = torch.deg2rad(angle_degrees)[..., None, None]
    identity = torch.eye(3, dtype=axis.dtype, device=axis.device)
    square = torch.matmul(cross, cross)
    return identity + torch.sin(angle) * cross + (1 - torch.cos(angle)) * square


def rotation_from_vector(vectors: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) of rotation vectors (..., 3): axis times angle in radians."""
    x, y, z = vectors.unbind(dim=-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1)
    matrices: Tensor = torch.linalg.matrix_exp(cross.reshape(*cross.shape[:-1], 3, 3))
    return matrices
