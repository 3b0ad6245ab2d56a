"""Isosurfaces, still pictures and levels of maps: where things are, and how large."""

from __future__ import annotations

import base64
import gzip
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryoparts.figures import surface_rendering
from cryoparts.figures.compact_volumes import CODES, coded, grid_around, packed
from cryoparts.figures.map_scene import map_scene
from cryoparts.figures.state_maps import (
    Difference,
    StateMaps,
    contour_level,
    contour_levels,
    difference_level,
    telling_pairs,
    without_dust,
)
from cryoparts.figures.surface_rendering import Surface, render
from cryoparts.figures.viewpoints import facing_views, viewpoint_of


def blob(box, centre_xyz, radius):
    """A smooth ball that crosses 0.5 at `radius` voxels from `centre` about the box centre."""
    z, y, x = np.indices((box, box, box)) - box // 2
    distance = np.sqrt(
        (x - centre_xyz[0]) ** 2 + (y - centre_xyz[1]) ** 2 + (z - centre_xyz[2]) ** 2
    )
    return (1 / (1 + np.exp(2 * (distance - radius)))).astype(np.float32)


def unpacked(text, size):
    """Codes [z, y, x] of a volume on the page."""
    codes = np.frombuffer(gzip.decompress(base64.b64decode(text)), dtype=np.uint8)
    return codes.reshape(size[::-1])


@settings(max_examples=12, deadline=None)
@given(st.integers(24, 40), st.sampled_from([3_000, 12_000, 100_000]))
def test_a_compact_volume_keeps_place_and_size_within_its_share(box, most):
    radius, centre, voxel = 0.25 * box, np.array([3.0, -2.0, 1.0]), 2.0
    volume = blob(box, centre, radius)
    grid = grid_around(volume > 0.5, most)
    small = grid.sampled(volume)
    assert small.size <= 1.4 * most
    frame = grid.frame(voxel, box // 2)
    assert frame["size"] == list(small.shape[::-1])
    inside = np.argwhere(small > 0.5)[:, ::-1] * frame["voxel"] + np.array(frame["origin"])
    np.testing.assert_allclose(inside.mean(axis=0), voxel * centre, atol=0.4 * frame["voxel"])
    filled = (small > 0.5).sum() * frame["voxel"] ** 3
    assert filled == pytest.approx(4 / 3 * np.pi * (voxel * radius) ** 3, rel=0.12)


def test_codes_are_the_density_within_half_a_step():
    values = np.linspace(-1.0, 3.0, 60, dtype=np.float32).reshape(3, 4, 5)
    code = coded(values, -0.5, 2.5)
    back = -0.5 + 3.0 / CODES * unpacked(code["codes"], [5, 4, 3])
    np.testing.assert_allclose(back, np.clip(values, -0.5, 2.5), atol=1.5 / CODES + 1e-6)
    assert packed(np.zeros(9, np.uint8)) == packed(np.zeros(9, np.uint8))


def test_nothing_seen_is_the_whole_box():
    assert grid_around(np.zeros((8, 8, 8), dtype=bool), 10_000).size.tolist() == [8, 8, 8]


@pytest.mark.parametrize("rotation", [np.eye(3), np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]])])
def test_rendering_puts_each_axis_where_the_view_says(rotation):
    """The silhouette's middle is the ball's place, its area the ball's disc."""
    size, reach, radius = 120, 20.0, 6.0
    for axis in range(3):
        centre = np.zeros(3)
        centre[axis] = 8.0
        image = render([Surface(blob(41, centre, radius), 0.5, "#3366aa")], rotation, reach, size)
        alpha = image[..., 3] > 127
        right, up, _ = rotation @ centre
        rows, columns = np.nonzero(alpha)
        pixel = 2 * reach / size
        assert columns.mean() == pytest.approx(size / 2 + right / pixel, abs=1.5)
        assert rows.mean() == pytest.approx(size / 2 - up / pixel, abs=1.5)
        assert alpha.sum() * pixel**2 == pytest.approx(np.pi * radius**2, rel=0.06)


def test_what_is_nearer_to_the_viewer_hides_what_is_behind():
    near = Surface(blob(33, (0, 0, 6), 4.0), 0.5, "#ff0000")
    far = Surface(blob(33, (0, 0, -6), 4.0), 0.5, "#0000ff")
    for order in ([near, far], [far, near]):
        middle = render(order, np.eye(3), 16.0, 64)[32, 32]
        assert middle[0] > 100 > middle[2]


def test_light_falls_from_above_left():
    image = render([Surface(blob(33, (0, 0, 0), 10.0), 0.5, "#888888")], np.eye(3), 16.0, 96)
    grey = image[..., 0].astype(float)
    assert grey[30, 40:56].mean() > grey[66, 40:56].mean() + 10
    assert grey[40:56, 30].mean() > grey[40:56, 66].mean() + 10


def test_a_transparent_surface_lets_through_its_share():
    front = Surface(blob(33, (0, 0, 8), 4.0), 0.5, "#ffffff", opacity=0.25)
    back = Surface(blob(33, (0, 0, -4), 4.0), 0.5, "#000000")
    middle = render([front, back], np.eye(3), 16.0, 64)[32, 32]
    alone = render([Surface(front.volume, 0.5, "#ffffff")], np.eye(3), 16.0, 64)[32, 32]
    assert middle[3] == 255
    assert middle[0] == pytest.approx(0.25 * alone[0], abs=3)


def test_the_level_lies_between_solvent_and_molecule():
    rng = np.random.default_rng(0)
    volume = 5.0 * blob(40, (0, 0, 0), 10.0) + 0.3 * rng.normal(size=(40, 40, 40))
    inside = blob(40, (0, 0, 0), 10.0) > 0.5
    level = contour_level(volume.astype(np.float32))
    assert 1.5 < level < 4.0
    assert np.mean((volume > level) == inside) > 0.99
    assert contour_level(np.zeros((8, 8, 8), dtype=np.float32)) == 0.0


def test_levels_follow_each_map_s_own_scale():
    """A state with few particles is damped by its filter: its level must be damped alike."""
    core, part = blob(32, (0, 0, 0), 8.0), blob(32, (10, 0, 0), 3.0)
    levels = contour_levels({1: core + part, 2: (0.5 * core).astype(np.float32)})
    assert levels[2] / levels[1] == pytest.approx(0.5, rel=0.1)


def test_noise_alone_shows_no_difference():
    rng = np.random.default_rng(1)
    noise = rng.normal(scale=0.1, size=(24, 24, 24)).astype(np.float32)
    assert not (np.abs(noise) > difference_level(noise, 0.0, None)).any()
    assert difference_level(noise, 10.0, 0.1) == pytest.approx(4.0)
    assert difference_level(noise, 0.1, 0.5) == pytest.approx(2.5)


def test_the_scene_lies_over_the_model():
    """A ball of the map at (x, y, z) Å is in the scene where the model has it."""
    place, voxel = np.array([4.0, -3.0, 2.0]), 2.5
    volume = blob(32, place, 5.0)
    maps = StateMaps(
        1,
        voxel,
        {1: volume, 2: volume},
        {(1, 2): Difference(volume - blob(32, place, 4.0), 10.0)},
        {1: 0.5, 2: 0.5},
    )
    scene = map_scene(
        maps,
        np.zeros((32, 32, 32)),
        "#0072b2",
        poster=None,
        most_voxels=50_000,
        towards_viewer=np.array([0.0, 0.0, 1.0]),
    )
    content = json.loads(scene.json)
    assert [state["title"] for state in content["states"]] == ["state 1", "state 2"]
    assert [(d["one"], d["other"]) for d in content["differences"]] == [(0, 1)]
    assert len({state["shade"] for state in content["states"]}) == 2
    frame, state = content["frame"], content["states"][0]
    density = state["low"] + (state["high"] - state["low"]) / CODES * unpacked(
        state["codes"], frame["size"]
    )
    inside = np.argwhere(density > 0.5)[:, ::-1] * frame["voxel"] + np.array(frame["origin"])
    np.testing.assert_allclose(inside.mean(axis=0), voxel * place, atol=0.4)
    np.testing.assert_allclose(np.ptp(inside, axis=0), 2 * 5.0 * voxel, rtol=0.25)


def test_empty_maps_have_no_scene():
    nothing = np.zeros((16, 16, 16), dtype=np.float32)
    maps = StateMaps(1, 1.0, {1: nothing}, {}, {1: 0.0})
    assert map_scene(maps, nothing, "#0072b2", None, 5000, np.array([0.0, 0.0, 1.0])) is None


def test_a_map_that_fills_the_picture_to_the_edge_is_drawn_without_a_warning():
    volume = np.full((16, 16, 16), 2.0, dtype=np.float32)
    for level in (1.0, 3.0):
        image = render([Surface(volume, level, "#888888")], np.eye(3), 14.0, 64)
        assert (image[32, 32, 3] == 255) == (level < 2.0)


def test_dust_is_swept_and_nothing_else():
    ball, speck = blob(32, (-2, 0, 0), 6.0), blob(32, (12, 12, 12), 1.1)
    clean = without_dust(ball + speck, 0.5)
    assert (speck > 0.5).any()
    np.testing.assert_array_equal(clean > 0.5, ball > 0.5)
    large = blob(32, (10, 0, 0), 3.0)
    np.testing.assert_array_equal(without_dust(ball + large, 0.5), ball + large)


def test_the_extreme_states_are_compared_first():
    every = [(1, 2), (1, 3), (1, 4), (2, 3), (2, 4), (3, 4)]
    assert telling_pairs([1, 2, 3, 4], every) == [(1, 4), (1, 2), (2, 3), (3, 4)]
    assert telling_pairs([1, 2], [(1, 2)]) == [(1, 2)]
    assert telling_pairs([1, 3], [(1, 3)]) == [(1, 3)]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_views_are_rotations_that_show_the_part(seed):
    rng = np.random.default_rng(seed)
    towards = rng.normal(size=3)
    towards /= np.linalg.norm(towards)
    rest = rng.normal(size=(50, 3))
    part = rest.mean(axis=0) + 30 * towards + 0.01 * rng.normal(size=(9, 3))
    seen = viewpoint_of(part, rest)
    for view in (seen.front, seen.side):
        np.testing.assert_allclose(view @ view.T, np.eye(3), atol=1e-9)
        assert np.linalg.det(view) == pytest.approx(1.0), "a mirror image"
    np.testing.assert_allclose(seen.front @ towards, [0, 0, 1], atol=1e-2)
    np.testing.assert_allclose(seen.side @ towards, [1, 0, 0], atol=1e-2)
    assert seen.oblique @ towards > 0.5
    labels = np.repeat([0, 1], [50, 9])
    for name, view in facing_views(np.concatenate([rest, part]), labels):
        assert np.linalg.det(view) == pytest.approx(1.0), name
        axis = "xyz".index(name[1])
        assert view[2, axis] == (1 if name[0] == "+" else -1)
        assert (view @ towards)[2] >= 0


def test_a_part_in_the_middle_can_be_seen_too():
    seen = viewpoint_of(np.zeros((5, 3)), np.zeros((5, 3)))
    np.testing.assert_allclose(seen.front[2], [0, 0, 1])
    assert np.linalg.det(seen.front) == pytest.approx(1.0)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("radius", [8.0, 22.0])
def test_rays_outside_the_extent_of_a_surface_meet_nothing(monkeypatch, seed, radius):
    """Where the surface leaves the picture (a small radius) as well as where it fills little."""
    random = np.random.default_rng(seed)
    centre = random.uniform(-5, 5, size=3)
    layers = [
        Surface(blob(28, centre, 6), 0.5, "#3366cc", region=blob(28, (0, 0, 0), 4)),
        Surface(blob(28, -centre, 3), 0.6, "#cc3333", opacity=0.5),
        Surface(blob(28, centre, 3), 2.0, "#000000"),
    ]
    turn = Rotation.random(random_state=seed).as_matrix()
    shown = render(layers, turn, radius, size=60)
    assert shown[..., 3].any()

    def everything(surface, to_map, offset, shape):
        return np.zeros(3, dtype=np.int64), np.array(shape)

    monkeypatch.setattr(surface_rendering, "_extent", everything)
    np.testing.assert_array_equal(render(layers, turn, radius, size=60), shown)
