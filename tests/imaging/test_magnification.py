"""Anisotropic magnification is undone as RELION models it: Y(k) = P(M k) exp(-2 pi i k . t)."""

from __future__ import annotations

import numpy as np
import torch

from cryoparts.imaging.magnification import corrected_shift, undo_magnification

MATRIX = np.array([[1.02, 0.012], [-0.006, 0.985]])
BOX = 64


def image_of(points: np.ndarray, widths: np.ndarray, matrix: np.ndarray) -> torch.Tensor:
    """Gaussians of a projection P seen through M: image(x) = P(M^-T x) / |det M|."""
    axis = np.arange(BOX) - BOX // 2
    where = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1).astype(float)
    seen = where @ np.linalg.inv(matrix)  # row vectors: M^-T x
    total = np.zeros((BOX, BOX))
    for point, width in zip(points, widths, strict=True):
        total += np.exp(-0.5 * ((seen - point) ** 2).sum(-1) / width**2)
    return torch.from_numpy((total / abs(np.linalg.det(matrix))).astype(np.float32))[None]


def test_the_projection_itself_comes_back():
    rng = np.random.default_rng(3)
    points, widths = rng.uniform(-15, 15, (6, 2)), rng.uniform(1.2, 3, 6)
    seen, true = image_of(points, widths, MATRIX), image_of(points, widths, np.eye(2))
    assert float((seen - true).abs().max()) > 0.1
    assert torch.allclose(undo_magnification(seen, MATRIX), true, atol=2e-4)


def test_the_unit_matrix_changes_nothing():
    image = torch.randn(2, BOX, BOX, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(undo_magnification(image, np.eye(2)), image, atol=1e-5)


def test_a_shifted_projection_comes_back_at_the_corrected_shift():
    point, shift = np.array([[4.0, -7.0]]), np.array([[3.0, 5.0]])
    # X is seen at M^T X + t
    seen = image_of(point + shift @ np.linalg.inv(MATRIX), np.array([2.0]), MATRIX)
    moved = point + corrected_shift(shift, MATRIX[None])
    assert torch.allclose(
        undo_magnification(seen, MATRIX), image_of(moved, np.array([2.0]), np.eye(2)), atol=2e-4
    )


def test_the_transform_is_that_of_the_published_model():
    """Y(k) = P(M k): of a Gaussian at X, exp(-2 pi^2 s^2 |M k|^2 - 2 pi i (M k) . X)."""
    point, width = np.array([5.0, -3.0]), 2.0
    image = image_of(point[None], np.array([width]), MATRIX)[0].double().numpy()
    k = np.array([0.07, -0.04])
    axis = np.arange(BOX) - BOX // 2
    x, y = np.meshgrid(axis, axis, indexing="xy")
    measured = (image * np.exp(-2j * np.pi * (k[0] * x + k[1] * y))).sum()
    q = MATRIX @ k
    expected = (
        2 * np.pi * width**2 * np.exp(-2 * np.pi**2 * width**2 * q @ q - 2j * np.pi * q @ point)
    )
    assert np.allclose(measured, expected, rtol=1e-5)
