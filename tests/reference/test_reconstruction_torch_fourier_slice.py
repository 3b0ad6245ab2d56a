"""Against the back-projection of teamtomo's torch-fourier-slice, where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cryoparts.imaging.fourier import transform
from cryoparts.imaging.shell_correlation import fourier_shell_correlation
from cryoparts.reconstruction.backprojection import invert
from cryoparts.reconstruction.insertion import insert_images, symmetrised

slices = pytest.importorskip("torch_fourier_slice", reason="torch-fourier-slice is not installed")

BOX, COUNT = 32, 400


def blob_map(seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(BOX) - BOX // 2] * 3, indexing="ij"), axis=-1)
    centres = rng.uniform(-7, 7, (25, 3))
    density = np.exp(-0.5 * ((grid[..., None, :] - centres) ** 2).sum(-1) / 1.2**2).sum(-1)
    return torch.from_numpy(density.astype(np.float32))


def test_maps_of_one_set_of_projections_agree():
    density = blob_map(0)
    # their matrices take the image's frame to the volume's: the transpose of ours
    to_volume = torch.from_numpy(Rotation.random(COUNT, random_state=1).as_matrix()).float()
    images = slices.project_3d_to_2d(density, to_volume, pad_factor=2.0)
    theirs = slices.backproject_2d_to_3d(images, to_volume, pad_factor=2.0).numpy()

    padded = torch.nn.functional.pad(images, (BOX // 2,) * 4)
    planes = transform(padded).numpy()
    rotations = to_volume.transpose(1, 2).numpy()
    sums = insert_images(planes, np.ones(planes.shape, np.float32), rotations, np.zeros((COUNT, 2)))
    ours = invert(symmetrised(sums), np.full(BOX // 2 + 1, 1e-3), padding=2)

    assert fourier_shell_correlation(ours, theirs)[1 : BOX // 4 + 1].min() > 0.99
    assert fourier_shell_correlation(ours, density.numpy())[1 : BOX // 4 + 1].min() > 0.99
    # and one is not the mirror image, nor the other's multiple
    inner = slice(4, -4)
    ratio = np.vdot(ours[inner, inner, inner], theirs[inner, inner, inner]) / np.vdot(
        ours[inner, inner, inner], ours[inner, inner, inner]
    )
    assert ratio == pytest.approx(1.0, abs=0.05)
