"""Images of a Gaussian model under the microscope, and how two noisy ones correlate.

    python examples/project_gaussians.py [MODEL.npz]

MODEL.npz is what `cryoparts model` writes; without it, a random cloud of Gaussians is taken.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from cryoparts import GaussianModel, contrast_transfer, project
from cryoparts.conventions import CtfParameters
from cryoparts.imaging.fourier import inverse_transform, ring_frequencies, transform
from cryoparts.imaging.shell_correlation import fourier_ring_correlation

BOX, PIXEL_ANGSTROM, IMAGES = 64, 4.0, 8


def main() -> None:
    random = np.random.default_rng(0)
    if len(sys.argv) > 1:
        model = GaussianModel.load(Path(sys.argv[1]))
    else:
        model = GaussianModel.of(30 * random.normal(size=(500, 3)), np.ones(500), np.full(500, 4.0))
    rotations = Rotation.random(IMAGES, random_state=0).as_matrix()
    positions, amplitudes, widths = (
        torch.as_tensor(values) for values in (model.positions, model.amplitudes, model.widths)
    )
    projections = project(
        positions,
        amplitudes,
        widths,
        torch.as_tensor(rotations, dtype=torch.float32),
        BOX,
        PIXEL_ANGSTROM,
    )
    # defocus U, V (Å), astigmatism (°), voltage (kV), Cs (mm), amplitude contrast, phase shift
    # (°), B-factor (Å²), scale
    values = (15000.0, 14500.0, 30.0, 300.0, 2.7, 0.1, 0.0, 0.0, 1.0)
    ctf = CtfParameters(*(np.full(IMAGES, value) for value in values))
    images = inverse_transform(projections * contrast_transfer(ctf, BOX, PIXEL_ANGSTROM))
    noise = images.std()
    one, two = (images + noise * torch.randn_like(images) for _ in range(2))
    curve = fourier_ring_correlation(transform(one), transform(two)).mean(dim=0)
    print(f"{len(model)} Gaussians, {IMAGES} images of {BOX} px; FRC of two noisy copies:")
    frequencies = ring_frequencies(BOX, PIXEL_ANGSTROM)
    for ring in range(4, len(curve), 7):
        print(f"  {1 / float(frequencies[ring]):5.1f} Å  {float(curve[ring]):6.3f}")


if __name__ == "__main__":
    main()
