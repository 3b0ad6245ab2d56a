"""Rows that show one image count once: repeating rows makes nothing surer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from coordinated_parts import measured
from cryoparts.conventions import CtfParameters, Poses
from cryoparts.coordination.coordination import find_coordination
from cryoparts.coordination.part_signals import PartSignal
from cryoparts.occupancy.composition import find_composition
from cryoparts.occupancy.image_amplitudes import ImageAmplitudes
from cryoparts.occupancy.joint_presence import joint_presence
from cryoparts.occupancy.presence import fit_presence
from cryoparts.rigid.motion_statistics import mean_screw
from cryoparts.rigid.rigid_motion import fit_rigid_motions
from cryoparts.statistics.by_image import (
    covariance_from_scores,
    first_rows,
    image_count,
    numbered,
    one_row_each,
    sums_by_image,
    with_all_rows,
)
from cryoparts.statistics.permutation import Permutations, imaging_strata
from cryoparts.training.split import Split
from cryoparts.validation.leakage import measure_leaks
from cryoparts.validation.null_judgement import sample_of
from moving_parts import hinged

IMAGES = st.lists(st.integers(0, 8), min_size=1, max_size=40).map(numbered)
COPIES = 3


def repeated(array: np.ndarray) -> np.ndarray:
    return np.repeat(array, COPIES, axis=0)


@given(IMAGES, st.integers(0, 3))
def test_one_row_of_each_image(image: np.ndarray, seed: int) -> None:
    for rows in (first_rows(image), one_row_each(image, seed)):
        assert np.all(np.diff(rows) > 0)
        assert sorted(image[rows]) == list(range(image_count(image, len(image))))
    assert all(image[: row + 1].tolist().count(image[row]) == 1 for row in first_rows(image))


@given(IMAGES, st.data())
def test_all_rows_of_chosen_images(image: np.ndarray, data) -> None:
    chosen = data.draw(st.lists(st.integers(0, int(image.max())), unique=True))
    rows = with_all_rows(image, np.array(chosen, dtype=np.int64))
    assert rows.tolist() == [row for row in range(len(image)) if image[row] in chosen]
    values = np.arange(2.0 * len(image)).reshape(-1, 2)
    sums = sums_by_image(values, image)
    assert sums.tolist() == [values[image == k].sum(axis=0).tolist() for k in np.unique(image)]


@given(IMAGES, st.data(), st.integers(0, 5))
def test_images_are_permuted_whole_within_their_strata(image, data, seed) -> None:
    of_image = data.draw(st.lists(st.integers(0, 1), min_size=9, max_size=9))
    strata = np.array(of_image)[image]
    for rows in Permutations.draw(strata, 3, seed, image).rows:
        assert sorted(rows.tolist()) == list(range(len(image)))
        assert np.array_equal(strata[rows], strata)
        for number in np.unique(image):
            own = np.flatnonzero(image == number)
            taken = rows[own]
            assert taken.tolist() == np.flatnonzero(image == image[taken[0]]).tolist()


def test_images_with_one_row_are_permuted_as_rows() -> None:
    strata = np.arange(60) % 3
    plain = Permutations.draw(strata, 5, 1).rows
    assert np.array_equal(Permutations.draw(strata, 5, 1, np.arange(60)).rows, plain)


@pytest.mark.parametrize("seed", range(3))
def test_repeated_rows_make_no_interval_narrower(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(50, 3)) @ rng.normal(size=(3, 3))
    image = repeated(np.arange(50))
    np.testing.assert_allclose(
        covariance_from_scores(repeated(scores), image), covariance_from_scores(scores)
    )
    variance = np.full(400, 0.04)
    amplitude = rng.binomial(1, 0.3, 400) + rng.normal(size=400) * 0.2
    own = repeated(np.arange(400))
    one = fit_presence(amplitude, variance)
    again = fit_presence(repeated(amplitude), repeated(variance), own)
    as_new = fit_presence(repeated(amplitude), repeated(variance))
    for key in ("occupancy", "low", "high", "bic_gain"):
        assert getattr(again, key) == pytest.approx(getattr(one, key), rel=1e-3)
    assert as_new.high - as_new.low < 0.7 * (one.high - one.low)
    always = fit_presence(repeated(np.ones(100)), repeated(np.full(100, 0.01)), own[:300])
    assert always.low == pytest.approx(1 - 3 / 100)


@settings(deadline=None, max_examples=5)
@given(st.integers(0, 100), st.sampled_from([0.0, 0.4]))
def test_repeated_rows_coordinate_nothing(seed: int, coupling: float) -> None:
    rng = np.random.default_rng(seed)
    presence = rng.binomial(1, 0.5, (300, 2))
    follows = rng.random(300) < coupling
    presence[follows, 1] = presence[follows, 0]
    single = measured(presence.astype(float), seed)
    copied = ImageAmplitudes(
        np.array([f"{k}" for k in range(3 * 300)]),
        repeated(single.amplitude),
        repeated(single.covariance),
    )
    image = repeated(np.arange(300))
    found = []
    for amplitudes, own in ((single, None), (copied, image)):
        composition = find_composition(amplitudes, ["a", "b"], own)
        if len(composition.optional) < 2:
            return
        signals = [PartSignal(k, "presence", composition.parts[k - 1].probability) for k in (1, 2)]
        signals.append(PartSignal(3, "coordinate", amplitudes.amplitude[:, 0]))
        strata = np.zeros(len(amplitudes.names), dtype=np.int64)
        found.append(find_coordination(signals, strata, composition, image=own, permutations=99))
        joint = joint_presence(amplitudes, 0, 1, *composition.parts, own)
        found[-1].append((joint.likelihood_ratio, joint.correlation_error, *joint.exceptions()))
    for one, again in zip(found[0][:-1], found[1][:-1], strict=True):
        for key in ("correlation", "low", "high", "p_permutation", "p_value"):
            assert getattr(again, key) == pytest.approx(getattr(one, key), rel=0.02, abs=2e-3)
    assert found[1][-1] == pytest.approx(found[0][-1], rel=0.02, abs=2e-3)


def test_repeated_rows_place_no_axis_better() -> None:
    case = hinged(np.random.default_rng(0), particles=60, noise=2.0)
    image = repeated(np.arange(60))
    one = mean_screw(fit_rigid_motions(case.positions, case.displacements, case.masses))
    motions = fit_rigid_motions(case.positions, repeated(case.displacements), case.masses)
    again, as_new = mean_screw(motions, image=image), mean_screw(motions)
    assert again.axis_error_degrees == pytest.approx(one.axis_error_degrees, rel=1e-6)
    assert again.pivot_error_angstrom == pytest.approx(one.pivot_error_angstrom, rel=1e-6)
    assert as_new.axis_error_degrees < 0.8 * one.axis_error_degrees


def _ctf(rng: np.random.Generator, count: int) -> CtfParameters:
    defocus, zero = rng.uniform(1e4, 2e4, count), np.zeros(count)
    return CtfParameters(defocus, defocus, zero, zero + 300, zero + 2.7, zero + 0.1, zero, zero,
                         zero + 1)  # fmt: skip


def test_the_other_row_of_an_image_leaks_nothing() -> None:
    rng = np.random.default_rng(3)
    image = np.repeat(np.arange(250), 12)
    rotation = Rotation.random(3000, random_state=0).as_matrix()
    poses = Poses(rotation, rng.normal(size=(250, 2))[image])
    ctf = _ctf(rng, 250).take(image)
    # what the image looks like is in every row's latent vector, and tells its copy
    z = rng.normal(size=(250, 3))[image] + 0.01 * rng.normal(size=(3000, 3))
    assert any(leak.worrying for leak in measure_leaks(z, poses, ctf))
    assert not any(leak.worrying for leak in measure_leaks(z, poses, ctf, image=image))


def test_strata_hold_all_rows_of_an_image() -> None:
    rng = np.random.default_rng(1)
    image = repeated(np.arange(300))
    rotation = Rotation.random(900, random_state=0).as_matrix()
    strata = imaging_strata(Poses(rotation, np.zeros((900, 2))), _ctf(rng, 300).take(image),
                            image=image)  # fmt: skip
    assert len(np.unique(strata)) > 1
    assert np.array_equal(strata, repeated(strata[::COPIES]))


def test_the_null_test_sees_one_row_of_each_image() -> None:
    image = repeated(np.arange(100))
    split = Split(np.arange(240), np.arange(240, 300))
    rows, measured_on = sample_of(split, 0, image)
    assert sorted(image[rows]) == list(range(100))
    assert (rows[measured_on] >= 240).all()
    assert measured_on.sum() == 20
