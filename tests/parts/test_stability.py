from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.conventions import CtfParameters, Poses
from cryoparts.parts.part_labels import PartLabels
from cryoparts.parts.stability import best_overlaps, possible_parts, stability_over_subsamples
from cryoparts.validation.agreement import agreement
from cryoparts.validation.leakage import beyond_mass, measure_leaks
from decoder_outputs import decoded

LABELS = st.lists(st.integers(-1, 4), min_size=8, max_size=40).map(
    lambda drawn: np.array([*drawn, 1, 2, 3, 4])
)


@settings(deadline=None, max_examples=25)
@given(LABELS, st.permutations([1, 2, 3, 4]))
def test_parts_under_other_numbers_are_found_again(labels, order) -> None:
    renumbered = np.where(labels > 0, np.array([0, *order])[np.maximum(labels, 0)], labels)
    np.testing.assert_allclose(best_overlaps(labels, renumbered), 1.0)


@settings(deadline=None, max_examples=25)
@given(LABELS, st.integers(0, 10**6))
def test_overlaps_are_those_of_the_definition(labels, seed) -> None:
    others = np.random.default_rng(seed).integers(-1, 4, len(labels))
    expected = [
        max(
            [
                ((labels == a) & (others == b)).sum() / ((labels == a) | (others == b)).sum()
                for b in range(1, others.max() + 1)
            ],
            default=0.0,
        )
        for a in range(1, 5)
    ]
    np.testing.assert_allclose(best_overlaps(labels, others), expected)


def test_what_went_into_the_core_was_not_found_again() -> None:
    assert best_overlaps(np.array([0, 1, 1, 2]), np.array([0, 1, 1, 0])).tolist() == [1.0, 0.0]
    assert best_overlaps(np.array([0, 1, 1]), np.zeros(3, dtype=int)).tolist() == [0.0]


def test_a_part_is_found_again_in_whichever_segmentation_has_it() -> None:
    labels = np.array([0, 1, 1, 2, 2])
    joined, halves = np.array([0, 1, 1, 1, 1]), np.array([0, 1, 1, 2, 2])
    assert best_overlaps(labels, joined).tolist() == [0.5, 0.5]
    assert best_overlaps(labels, joined, halves).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="cannot be compared"):
        best_overlaps(labels, joined, halves[1:])


def test_parts_that_networks_take_for_one_are_found_again_as_its_halves() -> None:
    """Images had told them apart: one is there in a part of the particles that have the other."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [60, 40, 40])
    positions = 10 * random.normal(size=(140, 3))
    positions[labels > 0] += 60
    positions[labels == 2, 0] += 40
    there = random.random(300) < 0.5
    of_second = there & (random.random(300) < 0.95)
    amplitudes = 1 - 0.8 * np.column_stack([np.zeros(300), ~there, ~of_second])[:, labels]
    outputs = decoded(amplitudes + 0.2 * random.normal(size=(300, 140)), None)
    one = found_as_one(positions, labels, outputs)
    with_pieces, in_halves = possible_parts(one, outputs.relative_amplitudes)
    assert best_overlaps(labels, with_pieces).max() < 0.6
    assert best_overlaps(labels, with_pieces, in_halves).min() > 0.9


def found_as_one(positions: np.ndarray, labels: np.ndarray, outputs) -> PartLabels:
    change = np.asarray(outputs.relative_amplitudes).std(axis=0)
    return PartLabels(
        (labels > 0).astype(np.int64), np.zeros((len(labels), 2)), positions, change, 0 * change,
        "pca",
    )  # fmt: skip


def test_clear_parts_are_stable_over_subsamples() -> None:
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 15)
    states = np.column_stack([np.zeros(200), random.random((200, 2)) < 0.5])
    outputs = decoded(1 - 0.9 * states[:, labels] + 0.02 * random.normal(size=(200, 45)), None)
    overlaps = stability_over_subsamples(
        labels, 10 * random.normal(size=(45, 3)), outputs, method="pca", repeats=2
    )
    assert overlaps.tolist() == [1.0, 1.0]


def test_equal_trainings_agree_and_independent_ones_do_not() -> None:
    random = np.random.default_rng(0)
    one, other = (
        decoded(3 + random.normal(size=(300, 9)), 2 * random.normal(size=(300, 9, 3)))
        for _ in range(2)
    )
    same, apart = agreement(one, one), agreement(one, other)
    assert same.correlation == pytest.approx(1.0)
    assert same.amplitude_error == same.displacement_error_angstrom == 0.0
    assert abs(apart.correlation) < 0.1
    assert apart.amplitude_error == pytest.approx(np.sqrt(2) * apart.amplitude_size, rel=0.1)
    assert apart.displacement_size_angstrom == pytest.approx(2 * np.sqrt(3), rel=0.1)
    shifted = decoded(np.array(one.relative_amplitudes) + 0.3, np.array(one.displacements) - 1.0)
    assert agreement(one, shifted).amplitude_error == pytest.approx(0.0, abs=1e-9)
    members = np.arange(9) < 3
    assert agreement(one, other, members).amplitude_error != apart.amplitude_error
    with pytest.raises(ValueError, match="vary different"):
        agreement(one, decoded(one.relative_amplitudes, None))


def test_trainings_agree_wherever_they_put_what_is_away() -> None:
    random = np.random.default_rng(0)
    there = random.integers(2, size=(300, 1)) * np.ones(9)
    moved = random.normal(size=(300, 1, 3)) * np.ones((9, 1))
    away = [
        np.where(there[..., None] > 0, moved, place + random.normal(size=moved.shape))
        for place in (0.0, 8.0)
    ]
    one, other = (decoded(there, places) for places in away)
    found = agreement(one, other)
    assert found.displacement_error_angstrom == pytest.approx(0.0, abs=1e-9)
    assert found.correlation == pytest.approx(1.0)
    always = agreement(*(decoded(None, places) for places in away))
    assert always.displacement_error_angstrom > 4


def test_only_what_predicts_beyond_permuted_particles_leaks() -> None:
    random = np.random.default_rng(0)
    count = 400
    poses = Poses(np.tile(np.eye(3), (count, 1, 1)), random.normal(size=(count, 2)))
    level = np.full(count, 1.0)
    defocus = random.uniform(8000, 20000, count)
    ctf = CtfParameters(defocus, defocus, level, level, level, level, level, level, level)
    mean = random.normal(size=count)
    honest = measure_leaks(random.normal(size=(count, 3)), poses, ctf, image_mean=mean)
    assert {leak.quantity for leak in honest} == {"shift", "defocus", "image mean"}
    assert not any(leak.worrying for leak in honest)
    assert all(-0.2 < leak.baseline < 0.0 for leak in honest)
    told = mean[:, None] + 0.2 * random.normal(size=(count, 1))
    leaks = {
        leak.quantity: leak
        for leak in measure_leaks(told, poses, ctf, image_mean=mean, space="part_1")
    }
    assert leaks["image mean"].worrying
    assert leaks["image mean"].explained > 0.8
    assert leaks["image mean"].space == "part_1"
    assert not leaks["defocus"].worrying


def test_the_mass_of_a_missing_part_is_no_leak():
    random = np.random.default_rng(3)
    amplitudes = (random.random((800, 3)) < 0.5).astype(float)
    background = random.normal(size=800)
    left = beyond_mass(amplitudes @ [3.0, 2.0, 1.0] + 0.1 * background, amplitudes)
    assert np.abs(np.corrcoef(left, amplitudes.T)[0, 1:]).max() < 1e-9
    assert np.corrcoef(left, background)[0, 1] > 0.98
