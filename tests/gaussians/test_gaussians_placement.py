"""Corner and centre origins, and models outside the box."""

from __future__ import annotations

import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.errors import InputError
from cryoparts.gaussians.placement import fraction_inside_box, place_in_box, require_inside_box


def _ball(radius: float, count: int = 300) -> np.ndarray:
    direction = np.random.default_rng(1).normal(size=(count, 3))
    return radius * direction / np.linalg.norm(direction, axis=1, keepdims=True)


@settings(deadline=None, max_examples=40)
@given(box=st.integers(16, 300), pixel=st.floats(0.5, 8.0), share=st.floats(0.05, 0.45))
def test_auto_recognises_corner_and_centre(box: int, pixel: float, share: float) -> None:
    positions = _ball(share * box * pixel)
    masses = np.ones(len(positions))
    centred = place_in_box(positions, masses, box, pixel)
    assert centred.origin == "centre"
    np.testing.assert_array_equal(centred.positions, positions)
    corner = place_in_box(positions + (box // 2) * pixel, masses, box, pixel)
    assert corner.origin == "corner"
    np.testing.assert_allclose(corner.positions, positions, atol=1e-9 * box * pixel)


def test_the_origin_that_holds_more_mass_wins_over_the_nearer_centre_of_mass() -> None:
    positions = np.full((100, 3), 20.0)
    positions[:5] = 70.0
    placed = place_in_box(positions, np.ones(100), 100, 1.0)
    assert placed.origin == "corner"
    assert placed.fraction_inside == 1.0


def test_the_origin_can_be_forced_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    # A small molecule near the corner of a large box fits under both origins.
    positions, masses = _ball(10.0) + 30.0, np.ones(300)
    with caplog.at_level(logging.INFO):
        assert place_in_box(positions, masses, 100, 2.0, where="m.cif").origin == "centre"
    assert "m.cif" in caplog.text
    assert "box centre" in caplog.text
    forced = place_in_box(positions, masses, 100, 2.0, origin="corner")
    np.testing.assert_allclose(forced.positions, positions - 100.0)


def test_the_odd_box_has_its_centre_at_voxel_d_half() -> None:
    placed = place_in_box(np.full((4, 3), 64.0), np.ones(4), 65, 2.0, origin="corner")
    np.testing.assert_allclose(placed.positions, 0.0)


def test_a_tail_of_one_percent_of_the_mass_is_allowed_and_more_is_not() -> None:
    positions = np.zeros((1000, 3))
    positions[:9, 0] = 500.0
    masses = np.ones(1000)
    assert place_in_box(positions, masses, 32, 4.0).fraction_inside == pytest.approx(0.991)
    masses[:9] = 2.0
    with pytest.raises(InputError, match="model outside the box"):
        place_in_box(positions, masses, 32, 4.0)


def test_outside_message_names_file_extents_and_cure() -> None:
    positions = _ball(20.0) + np.array([900.0, 0, 0])
    with pytest.raises(InputError) as caught:
        place_in_box(positions, np.ones(300), 64, 4.0, where="far.pdb")
    text = str(caught.value)
    assert caught.value.where == "far.pdb"
    for piece in ("model outside the box", "x 880", "64 pixels of 4 Å", "--model-origin"):
        assert piece in text
    assert "--pixel-size" in caught.value.cure
    with pytest.raises(InputError, match="--model-origin corner"):
        place_in_box(_ball(20.0), np.ones(300), 64, 4.0, origin="corner")


def test_unknown_origin() -> None:
    with pytest.raises(InputError, match="'middle'"):
        place_in_box(_ball(1.0), np.ones(300), 64, 4.0, origin="middle")  # type: ignore[arg-type]


def test_require_inside_box_for_models_about_the_centre() -> None:
    positions, masses = _ball(60.0), np.ones(300)
    require_inside_box(positions, masses, 64, 2.0, "map.mrc")
    assert fraction_inside_box(positions, masses, 64, 1.0) < 0.99
    with pytest.raises(InputError, match=r"map\.mrc"):
        require_inside_box(positions, masses, 64, 1.0, "map.mrc")
