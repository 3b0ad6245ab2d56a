"""The map projector against projections that RELION made."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cryoparts.imaging.fourier import inverse_transform
from cryoparts.io.mrc import open_stack, read_map
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.simulation.map_projection import FourierMap, project_map


@pytest.mark.parametrize(
    ("name", "centre_voxel"),
    # The first set was projected about the middle of the 65 voxels' box (32.5),
    # the second about voxel 32; both have pixels of 65/64 voxels.
    [("rln_proj_64", 32.5), ("rln_proj_64_shifted", 32.0)],
)
def test_projections_equal_relions(reference_data, name, centre_voxel):
    folder = reference_data / "maps" / "relion_projection"
    table = read_particles(folder / f"{name}.star", without_ctf=True, pixel_size_angstrom=65 / 64)
    volume = read_map(folder / "clean70SRibosome_vol_65p.mrc", voxel_size=1.0).density
    theirs = open_stack(table.stack_paths[0]).read(table.slice_in_stack)
    pixel = 65 / 64
    centre = np.full(3, 32.0 - centre_voxel)
    shifts = table.poses.shift_angstrom + (table.poses.rotation @ centre)[:, :2]
    planes = project_map(
        FourierMap.of(volume, 1.0), table.poses.rotation, shifts, theirs.shape[-1], pixel
    )
    ours = inverse_transform(torch.from_numpy(planes)).numpy()
    for mine, relions in zip(ours, theirs, strict=True):
        assert np.corrcoef(mine.ravel(), relions.ravel())[0, 1] > 0.999
