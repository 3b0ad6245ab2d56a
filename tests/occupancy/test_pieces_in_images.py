"""Pieces of the core and halves of parts: images tell which of them are parts, and of which."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.config import TrainingConfig
from cryoparts.gaussians.model import GaussianModel
from cryoparts.occupancy.pieces_in_images import confirmed_pieces, told_apart
from cryoparts.occupancy.presence_in_images import PresenceInImages
from cryoparts.parts.part_labels import CORE, UNASSIGNED
from imaged_parts import Imaged, imaged_parts, labelled

PARTICLES, NOISE = 600, 2.0
CONFIG = TrainingConfig(threads=1)
APART = 9.0  # Å between neighbouring Gaussians
CENTRES = 3 * APART * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, 0, 0]])
PLACE = np.repeat(np.arange(5), 27)


def molecule() -> GaussianModel:
    """Five cubes of 27 Gaussians."""
    rng = np.random.default_rng(0)
    cube = APART * (np.indices((3, 3, 3)).reshape(3, -1).T - 1)
    positions = (CENTRES[:, None] + cube).reshape(-1, 3) + rng.normal(0, 1, (len(PLACE), 3))
    return GaussianModel.of(positions, rng.uniform(1, 2, len(PLACE)), np.full(len(PLACE), 5.0))


@pytest.fixture(scope="module")
def imaged() -> Imaged:
    """The cubes at places 1 and 2 come and go as one part, that at 3 as another."""
    drawn = np.array([0, 1, 1, 2, 0])[PLACE]
    there = np.random.default_rng(1).random((PARTICLES, 2)) < [0.5, 0.7]
    return imaged_parts(molecule(), drawn, there.astype(float)).noisy(NOISE)


def confirmed(
    imaged: Imaged, labels_of_places: list[int], parts: int, *, beside: int = CORE, **options
) -> list[int]:
    """The label of each place, which all of its Gaussians have."""
    label = np.array(labels_of_places)[PLACE]
    seen = PresenceInImages.of(
        imaged.particles(), imaged.model, labelled(imaged.model, label), CONFIG, **options
    )
    before = np.where(label > parts, beside, label)
    found = confirmed_pieces(seen, labelled(imaged.model, before)).reshape(5, 27)
    assert (found == found[:, :1]).all()
    return found[:, 0].tolist()


def test_what_comes_and_goes_is_a_part_and_what_stays_is_core(imaged):
    assert confirmed(imaged, [0, 1, 1, 2, 3], 1) == [0, 1, 1, 2, 0]


def test_what_was_in_no_part_stays_so_unless_it_comes_and_goes(imaged):
    assert confirmed(imaged, [0, 1, 1, 2, 3], 1, beside=UNASSIGNED) == [0, 1, 1, 2, UNASSIGNED]


def test_a_piece_of_a_part_joins_it(imaged):
    assert confirmed(imaged, [0, 1, 2, 3, 0], 1) == [0, 1, 1, 2, 0]


def test_two_pieces_of_one_part_are_one_part(imaged):
    assert confirmed(imaged, [0, 2, 3, 1, 4], 0) == [0, 1, 1, 2, 0]


def test_parts_are_numbered_by_size_and_kept_whatever_they_do(imaged):
    """The part at place 4 does not come and go: that is for others to say."""
    assert confirmed(imaged, [0, 2, 3, 0, 1], 1) == [0, 1, 1, 0, 2]


def test_junk_confirms_nothing(imaged):
    """A third of the images, which do not count, lack what is always there in the others."""
    junk = np.arange(PARTICLES) % 3 == 0
    amplitude = np.column_stack([imaged.amplitude, ~junk])
    other = imaged_parts(imaged.model, np.array([0, 1, 1, 2, 3])[PLACE], amplitude).noisy(NOISE)
    assert confirmed(other, [0, 1, 1, 2, 3], 2) == [0, 1, 1, 2, 3]
    assert confirmed(other, [0, 1, 1, 2, 3], 2, counted=~junk) == [0, 1, 1, 2, 0]


def test_a_piece_of_two_parts_is_a_part_though_it_has_more_levels_than_two():
    """The cubes at places 3 and 4, which come and go on their own."""
    rng = np.random.default_rng(3)
    model = molecule()
    there = (rng.random((PARTICLES, 2)) < 0.5).astype(float)
    other = imaged_parts(model, np.array([0, 0, 0, 1, 2])[PLACE], there).noisy(NOISE)
    assert confirmed(other, [0, 0, 0, 1, 1], 0) == [0, 0, 0, 1, 1]


def test_few_images_leave_a_part_undecided_and_what_stays_never(imaged):
    noisier = imaged.noisy(4.0, seed=5)
    asked = labelled(imaged.model, np.array([0, 1, 1, 2, 3])[PLACE])
    few, all_of_them = (
        PresenceInImages.of(noisier.particles(), imaged.model, asked, CONFIG, **sample)
        for sample in ({"sample": 256}, {})
    )
    assert few.leaves_undecided(1)
    assert not few.leaves_undecided(3)  # the cube at place 4 stays
    assert not all_of_them.leaves_undecided(1)  # there are no more


def divided(imaged: Imaged, labels_of_places: list[int], half_of: dict[int, int]):
    """The label of each place, and the parts that were a half of another."""
    asked = labelled(imaged.model, np.array(labels_of_places)[PLACE])
    seen = PresenceInImages.of(imaged.particles(), imaged.model, asked, CONFIG)
    found, of_others = told_apart(seen, half_of)
    found = found.reshape(5, 27)
    assert (found == found[:, :1]).all()
    return found[:, 0].tolist(), of_others


def test_a_part_whose_halves_come_and_go_together_is_whole_again(imaged):
    assert divided(imaged, [0, 1, 3, 2, 0], {3: 1}) == ([0, 1, 1, 2, 0], frozenset())


def test_a_part_that_is_two_is_divided(imaged):
    assert divided(imaged, [0, 1, 1, 2, 0], {2: 1}) == ([0, 1, 1, 2, 0], {1, 2})


def test_a_half_that_does_not_come_and_go_stays_where_it_was(imaged):
    """It may be too small to tell."""
    assert divided(imaged, [0, 1, 1, 2, 3], {3: 2}) == ([0, 1, 1, 2, 2], frozenset())


def test_a_half_of_another_part_joins_that(imaged):
    """Part 1 is the cube at place 1, part 2 those at places 2 and 3: half of it is of part 1."""
    assert divided(imaged, [0, 1, 2, 3, 0], {3: 2}) == ([0, 1, 1, 2, 0], {2})
    assert divided(imaged, [0, 1, 3, 2, 0], {3: 2}) == ([0, 1, 1, 2, 0], {2})


def test_one_part_needs_another_and_is_its_own():
    """There where the other is, in half of the cases: a correlation of 0.58."""
    rng = np.random.default_rng(2)
    there = rng.random((PARTICLES, 2)) < 0.5
    there[:, 1] &= there[:, 0]
    needs = imaged_parts(molecule(), np.array([0, 1, 2, 0, 0])[PLACE], there.astype(float))
    assert divided(needs.noisy(NOISE), [0, 1, 2, 0, 0], {2: 1}) == ([0, 1, 2, 0, 0], {1, 2})
