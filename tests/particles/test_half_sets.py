from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cryoparts.particles.half_sets import HalfSets, assign_half_sets
from cryoparts.statistics.by_image import first_rows, numbered


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.int8, st.integers(2, 60), elements=st.integers(0, 2)), st.integers(0, 5))
def test_halves_are_disjoint_and_complete_and_follow_the_file(known: np.ndarray, seed: int) -> None:
    halves = assign_half_sets(known, seed)
    both = np.concatenate([halves.indices(1), halves.indices(2)])
    assert sorted(both.tolist()) == list(range(len(known)))
    if {1, 2} <= set(known.tolist()):
        assert halves.source == "file"
        np.testing.assert_array_equal(halves.half[known > 0], known[known > 0])
    else:
        assert halves.source == "random"
        assert abs(len(halves.indices(1)) - len(halves.indices(2))) <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=2), st.integers(0, 5))
def test_all_rows_of_an_image_are_in_one_half(rows: list[tuple[int, int]], seed: int) -> None:
    places, told = np.array(rows).T
    image = numbered(places)
    known = told.astype(np.int8)
    found = assign_half_sets(known, seed, image=image)
    for number in np.unique(image):
        own = image == number
        assert len(set(found.half[own].tolist())) == 1
        said = known[own][known[own] > 0]
        if found.source == "file" and len(said):
            assert found.half[own][0] == said[0]
    if found.source == "random":
        first = found.half[first_rows(image)]
        assert abs((first == 1).sum() - (first == 2).sum()) <= 1
    # images of their own are as without images
    np.testing.assert_array_equal(
        assign_half_sets(known, seed, image=np.arange(len(known))).half,
        assign_half_sets(known, seed).half,
    )


def test_the_draw_depends_on_the_seed_alone() -> None:
    none = np.zeros(100, np.int8)
    np.testing.assert_array_equal(assign_half_sets(none, 3).half, assign_half_sets(none, 3).half)
    assert (assign_half_sets(none, 3).half != assign_half_sets(none, 4).half).any()


def test_a_particle_in_no_half_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="half 1 or 2"):
        HalfSets(np.array([1, 2, 0], dtype=np.int8), "file")
    with pytest.raises(ValueError, match="not 3"):
        assign_half_sets(np.zeros(4, np.int8)).indices(3)
