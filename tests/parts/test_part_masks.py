from __future__ import annotations

import mrcfile
import numpy as np
import pytest

from cryoparts.config.steps import MaskOptions
from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.parts.part_labels import PartLabels
from cryoparts.parts.part_masks import write_part_masks


def voxel_coordinates(box, pixel):
    """(x, y, z), Å about the box centre, of every voxel of [z, y, x]."""
    offset = (np.arange(box) - box // 2) * pixel
    z, y, x = np.meshgrid(offset, offset, offset, indexing="ij")
    return np.stack([x, y, z], axis=-1)


def test_masks_lie_where_the_part_is_in_any_box(tmp_path):
    """x is the fastest axis, and the middle voxel D // 2 the origin: no mirror, no shift."""
    rng = np.random.default_rng(0)
    part = rng.normal(size=(15, 3)) * 4 + [40, -20, 10]
    core = rng.normal(size=(20, 3)) * 6
    positions = np.concatenate([core, part])
    model = GaussianModel.of(positions, np.ones(35), np.full(35, 4))
    labels = np.repeat([0, 1], [20, 15])
    parts = PartLabels(labels, np.zeros((35, 2)), positions, np.zeros(35), np.zeros(35), "pca")
    for options in (MaskOptions(), MaskOptions(box_size=33, pixel_size_angstrom=5.0)):
        written = write_part_masks(tmp_path, model, parts, 64, 2.5, options)
        assert [path.name for path in written] == ["core.mrc", "part_1.mrc"]
        with mrcfile.open(tmp_path / "part_1.mrc", permissive=False) as file:
            pixel = float(file.voxel_size.x)
            box = file.data.shape[0]
            assert (box, pixel) == (options.box_size or 64, options.pixel_size_angstrom or 2.5)
            assert file.data.dtype == np.float32
            assert file.header.origin.x == -(box // 2) * pixel
            weight = file.data.astype(float)
        centre = (voxel_coordinates(box, pixel) * weight[..., None]).sum((0, 1, 2)) / weight.sum()
        np.testing.assert_allclose(centre, part.mean(axis=0), atol=pixel)
    assert mrcfile.validate(str(tmp_path / "part_1.mrc"))


def test_wrong_options_are_refused(tmp_path):
    model = GaussianModel.of([[100, 0, 0], [0, 0, 0]], [1, 1], [4, 4])
    parts = PartLabels(
        np.array([1, 0]), np.zeros((2, 2)), model.positions.astype(float),
        np.zeros(2), np.zeros(2), "pca",
    )  # fmt: skip
    with pytest.raises(InputError, match="part_1 reaches 100 Å"):
        write_part_masks(tmp_path, model, parts, 32, 5.0, MaskOptions())
    for wrong in ({"box_size": 0}, {"pixel_size_angstrom": -1.0}, {"edge_pixels": -1.0}):
        with pytest.raises(InputError, match="must be"):
            MaskOptions(**wrong)
