"""Movies: read back frame by frame; a part that turns goes there and comes back."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from cryoparts.errors import InputError
from cryoparts.export.movie_file import require_movie, write_movie
from cryoparts.figures.state_maps import StateMaps
from cryoparts.gaussians.density import render
from cryoparts.gaussians.model import GaussianModel
from cryoparts.palette import part_colour
from cryoparts.parts.part_labels import PartLabels
from cryoparts.pipeline.exports.movie_frames import motion_frames, state_frames

BOX, PIXEL = 24, 6.0


@pytest.fixture
def frames():
    ramp = np.linspace(0, 255, 64).astype(np.uint8)
    return [np.dstack([np.roll(np.tile(ramp, (48, 1)), 8 * i, axis=1)] * 3) for i in range(6)]


def test_a_gif_has_every_frame_and_plays_for_ever(frames, tmp_path):
    write_movie(tmp_path / "a.gif", frames, 10)
    with Image.open(tmp_path / "a.gif") as movie:
        assert movie.n_frames == 6
        assert movie.info["loop"] == 0
        assert movie.info["duration"] == 100
        for number, frame in enumerate(frames):
            movie.seek(number)
            shown = np.asarray(movie.convert("RGB"), dtype=float)
            assert np.abs(shown - frame).max() <= 2


def test_an_mp4_has_every_frame(frames, tmp_path):
    av = pytest.importorskip("av")
    write_movie(tmp_path / "a.mp4", frames, 10)
    with av.open(str(tmp_path / "a.mp4")) as movie:
        shown = [frame.to_ndarray(format="rgb24") for frame in movie.decode(video=0)]
        assert float(movie.streams.video[0].average_rate) == 10
    assert len(shown) == 6
    for one, frame in zip(shown, frames, strict=True):
        assert np.abs(one.astype(float) - frame).mean() < 8


def test_other_suffixes_and_absent_libraries_are_refused(monkeypatch, tmp_path):
    with pytest.raises(InputError, match="ends neither"):
        require_movie(tmp_path / "a.avi")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(InputError, match="movies"):
        require_movie(tmp_path / "a.mp4")
    require_movie(tmp_path / "a.gif")


@pytest.fixture
def molecule():
    rng = np.random.default_rng(0)
    core, arm = rng.normal(size=(60, 3)) * 10, rng.normal(size=(30, 3)) * 6 + [0, 0, 34]
    model = GaussianModel.of(np.concatenate([core, arm]), np.ones(90), np.full(90, 6.0))
    labels = np.repeat([0, 1], [60, 30])
    flat = model.positions.astype(float)
    return model, PartLabels(labels, flat[:, :2], flat, np.ones(90), np.ones(90), "pca")


def coloured(frame, part=1):
    """Pixels of the part's hue, whatever the light on them."""
    wanted = np.array([int(part_colour(part)[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)
    values = frame.astype(float)
    length = np.maximum(np.linalg.norm(values, axis=2) * np.linalg.norm(wanted), 1e-9)
    return (values @ wanted) / length > 0.985


def test_a_part_turns_about_its_axis_and_comes_back(molecule):
    model, labels = molecule
    content = {
        "screw": {
            "axis": [1.0, 0.0, 0.0],
            "pivot_angstrom": [0.0, 0.0, 0.0],
            "slide_angstrom_per_degree": 0.0,
        },
        "signed_angle_degrees": {"quantile_05": -40.0, "quantile_95": 40.0},
    }
    told = []
    drawn = motion_frames(
        model, labels, 1, content, count=8, size=81, box_size=BOX, pixel_size=PIXEL,
        done=lambda done, total: told.append((done, total)),
    )  # fmt: skip
    assert len(drawn) == 8
    assert told[-1] == (5, 5)
    assert drawn[0].shape == (80, 80, 3)
    np.testing.assert_array_equal(drawn[3], drawn[5])
    shares = [coloured(frame).mean() for frame in drawn]
    assert min(shares) > 0.01
    differ = [np.abs(drawn[0].astype(float) - frame).mean() for frame in drawn]
    assert differ[1] < differ[2] < differ[4]


def test_a_part_fades_from_state_to_state_and_comes_back(molecule):
    model, labels = molecule
    core = ~labels.members(1)
    without = GaussianModel.of(model.positions[core], model.amplitudes[core], model.widths[core])
    volumes = {1: render(model, BOX, PIXEL), 2: render(without, BOX, PIXEL)}
    level = 0.3 * float(volumes[2].max())
    maps = StateMaps(1, PIXEL, volumes, {}, dict.fromkeys(volumes, level))
    drawn = state_frames(maps, model, labels, count=8, size=80, done=lambda *_: None)
    shares = [coloured(frame).mean() for frame in drawn]
    assert shares[0] > 0.02
    assert min(shares) < 0.2 * shares[0]
    assert shares[1] == pytest.approx(shares[-1])
