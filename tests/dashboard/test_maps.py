"""The maps of a run on their way to the page."""

from __future__ import annotations

import base64
import gzip
import json

import numpy as np
import pytest

from archived_run import VERSIONS, unpacked
from cryoparts.dashboard.curve import curve
from cryoparts.dashboard.maps import run_maps, volume, volume_along
from cryoparts.dashboard.run_folders import RunFolders
from cryoparts.errors import InputError
from cryoparts.io.map_frame import MapFrame
from run_of_particles import make_run

VOXEL, SIDE = 3.0, 24


def ball(centre, radius=4.0):
    """A soft ball about a voxel (z, y, x)."""
    z, y, x = np.indices((SIDE,) * 3)
    distance = np.sqrt(sum((a - c) ** 2 for a, c in zip((z, y, x), centre, strict=True)))
    return np.clip(radius + 1 - distance, 0, 1).astype(np.float32)


@pytest.fixture
def opened(tmp_path):
    run = make_run(tmp_path / "run")
    one, two = ball((12, 12, 12)), ball((12, 12, 16))
    folder = run.reconstruction_path(2)
    folder.mkdir(parents=True)
    for name, density in {
        "state_1": one, "state_2": two, "state_10": one, "state_1_half1": one, "mask": one,
        "difference_1_minus_2": one - two, "difference_1_minus_2_z": one,
    }.items():  # fmt: skip
        MapFrame((100.0, 0.0, 0.0)).write(folder / f"{name}.mrc", density, VOXEL)
    resting = run.at_rest_path
    resting.mkdir()
    MapFrame().write(resting / "composite.mrc", one, VOXEL)
    return RunFolders.of(run.root).alone


def density(found):
    """(values [z, y, x], origin (x, y, z)) of what is sent."""
    codes = np.frombuffer(gzip.decompress(base64.b64decode(found["codes"])), np.uint8)
    x, y, z = found["frame"]["size"]
    values = found["low"] + (found["high"] - found["low"]) * codes.reshape(z, y, x) / 255
    return values, np.array(found["frame"]["origin"])


def test_maps_are_listed_by_number_without_halves_and_masks(opened):
    assert [(m.group, m.title) for m in run_maps(opened.view)] == [
        ("at rest", "every part in its own poses"),
        ("part 2, arm", "state 1 − state 2"),
        ("part 2, arm", "state 1"),
        ("part 2, arm", "state 2"),
        ("part 2, arm", "state 10"),
    ]


def test_a_map_lies_about_the_box_centre_whatever_its_header_says(opened):
    values, origin = density(volume(opened, "part_2/state_2.mrc"))
    weight = np.where(values > 0.5, values, 0)
    z, y, x = (float((weight * i).sum() / weight.sum()) for i in np.indices(values.shape))
    np.testing.assert_allclose(origin + VOXEL * np.array([x, y, z]), [12, 0, 0], atol=0.1)


def test_a_difference_has_both_signs_and_one_level(opened):
    found = volume(opened, "part_2/difference_1_minus_2.mrc")
    values, _ = density(found)
    assert found["signed"]
    assert 0 < found["level"] < 1
    assert values.max() > found["level"]
    assert values.min() < -found["level"]


def test_the_density_of_the_model_holds_all_of_it(opened):
    found = volume(opened, "model")
    values, origin = density(found)
    places = opened.view.model.positions
    voxel = np.rint((places - origin) / found["frame"]["voxel"]).astype(int)
    assert (values[tuple(voxel[:, ::-1].T)] > found["low"]).all()


@pytest.mark.parametrize("key", ["", "part_2/mask.mrc", "../config.yaml", "part_2/state_3.mrc"])
def test_nothing_else_is_read(opened, key):
    with pytest.raises(InputError):
        volume(opened, key)


def test_the_slider_shows_the_reconstructed_frame_that_is_nearest(tmp_path):
    root = unpacked(VERSIONS[0], tmp_path)
    run = RunFolders.of(root).alone
    places = curve(run, 1)["coordinate"]
    with pytest.raises(InputError, match="--along trajectory"):
        volume_along(run, 1, 0, reconstructed=True)
    folder = run.directory.trajectory_maps_path(1)
    folder.mkdir(parents=True)
    centres = {1: 8, 2: 16}
    for frame, x in centres.items():
        MapFrame().write(folder / f"frame_{frame}.mrc", ball((12, 12, x)), VOXEL)
    means = [
        {"frame": 1, "mean_coordinate": places[0]},
        {"frame": 2, "mean_coordinate": places[-1]},
    ]
    (folder / "summary.json").write_text(json.dumps({"frames": means}))
    for point, x in ((0, 8), (len(places) - 1, 16)):
        values, origin = density(volume_along(run, 1, point, reconstructed=True))
        seen = origin[0] + VOXEL * np.argwhere(values > 0.5)[:, 2].mean()
        assert seen == pytest.approx(VOXEL * (x - 12), abs=0.2)


def test_the_density_of_the_model_moves_along_the_curve(tmp_path):
    run = RunFolders.of(unpacked(VERSIONS[0], tmp_path)).alone
    first, last = (volume_along(run, 1, point, reconstructed=False) for point in (0, 14))
    assert first["level"] == last["level"]
    assert first["codes"] != last["codes"]
    with pytest.raises(InputError, match="15 places"):
        volume_along(run, 1, 15, reconstructed=False)
