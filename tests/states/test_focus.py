from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from cryoparts.errors import InputError
from cryoparts.states.focus import (
    FocusedParticles,
    by_presence,
    focus_on_features,
    focus_on_part,
)
from cryoparts.states.particle_features import describe_particles
from cryoparts.states.state_populations import state_populations
from cryoparts.states.states import choose_number
from cryoparts.states.trajectory import curve_coordinate, cut_into_states


def names_of(count: int) -> np.ndarray:
    return np.array([f"{i + 1:06d}@set, one.mrcs" for i in range(count)])


def fading(seed: int, levels: tuple[float, ...], particles: int = 600):
    rng = np.random.default_rng(seed)
    state = rng.integers(len(levels), size=particles)
    amplitudes = 1 + 0.15 * rng.normal(size=(particles, 60))
    # the decoder's error of a whole part, common to its Gaussians
    level = np.array(levels)[state] + 0.06 * rng.normal(size=particles)
    amplitudes[:, :20] += level[:, None] - 1
    # another part, which must not matter
    amplitudes[:, 40:] -= 0.8 * (rng.random((particles, 1)) < 0.5)
    return amplitudes, state, np.arange(60) < 20


@pytest.mark.parametrize("levels", [(1.0, 0.2), (1.2, 0.7, 0.2)])
def test_states_of_a_fading_part_are_found_and_numbered_by_density(levels):
    amplitudes, truth, members = fading(1, levels)
    seen = focus_on_part(names_of(600), members, amplitudes)
    assert seen.n_states == len(levels)
    assert seen.chosen_by == "found"
    assert adjusted_rand_score(truth, seen.states) > 0.97
    # most density first
    means = [seen.mean_amplitude[seen.members(k)].mean() for k in range(1, len(levels) + 1)]
    np.testing.assert_allclose(means, levels, atol=0.05)


def test_one_cloud_has_no_states():
    rng = np.random.default_rng(2)
    members = np.ones(30, dtype=bool)
    amplitudes = 1 + 0.2 * rng.normal(size=(500, 1)) + 0.1 * rng.normal(size=(500, 30))
    assert focus_on_part(names_of(500), members, amplitudes).n_states == 1


def test_an_even_spread_has_no_states_but_an_order():
    rng = np.random.default_rng(3)
    angle = rng.uniform(-1, 1, 500)
    direction = rng.normal(size=(30, 3))
    moved = 4 * angle[:, None, None] * direction + 0.2 * rng.normal(size=(500, 30, 3))
    members = np.ones(30, dtype=bool)
    assert focus_on_part(names_of(500), members, displacements=moved).n_states == 1
    ordered = focus_on_part(names_of(500), members, None, moved, order="curve", n_states=5)
    assert abs(np.corrcoef(ordered.coordinate, angle)[0, 1]) > 0.99
    assert [len(ordered.members(k)) for k in range(1, 6)] == [100] * 5
    means = np.array([angle[ordered.members(k)].mean() for k in range(1, 6)])
    assert (np.diff(means) > 0).all() or (np.diff(means) < 0).all()


def test_a_bent_path_is_ordered_along_itself():
    rng = np.random.default_rng(4)
    true = rng.uniform(0, 1, 800)
    turn = np.pi * true
    points = np.stack([-np.cos(turn), np.sin(turn)], axis=1) + 0.05 * rng.normal(size=(800, 2))
    found = curve_coordinate(points)
    assert np.corrcoef(found, true)[0, 1] > 0.995
    # the first component alone squeezes both ends
    assert np.corrcoef(found, true)[0, 1] > np.corrcoef(points[:, 0], true)[0, 1]


def test_number_of_separate_clouds():
    rng = np.random.default_rng(5)
    for count in range(1, 5):
        centres = 8 * rng.permutation(np.eye(6))[:count]
        points = np.concatenate([c + rng.normal(size=(80, 6)) for c in centres])
        assert choose_number(points, seed=0) == count


def test_given_number_of_states_and_reproducible():
    amplitudes, _, members = fading(6, (1.0, 0.2), particles=100)
    first, second = (
        focus_on_part(names_of(100), members, amplitudes, n_states=4, seed=3) for _ in range(2)
    )
    assert first.n_states == 4
    assert first.chosen_by == "given"
    np.testing.assert_array_equal(first.states, second.states)


@pytest.mark.parametrize("count", [1, 2, 17])
def test_few_particles_run(count):
    amplitudes, _, members = fading(7, (1.0, 0.2), particles=17)
    seen = focus_on_part(names_of(count), members, amplitudes[:count])
    assert len(seen) == count
    assert seen.n_states >= 1
    assert set(seen.states) == set(range(1, seen.n_states + 1))


def test_identical_particles_are_one_state():
    seen = focus_on_part(names_of(20), np.ones(5, bool), np.ones((20, 5)), n_states=3)
    assert seen.n_states == 1


def test_more_states_than_particles_is_an_input_error():
    with pytest.raises(InputError, match=r"--states.*17.*got 18"):
        focus_on_part(names_of(17), np.ones(5, bool), np.ones((17, 5)), n_states=18)
    with pytest.raises(ValueError, match="cannot cut"):
        cut_into_states(np.arange(3), 4)


def test_batches_do_not_matter(monkeypatch):
    amplitudes, _, members = fading(8, (1.0, 0.2), particles=100)
    moved = np.random.default_rng(0).normal(size=(100, 60, 3)).astype(np.float32)
    whole = describe_particles(members, amplitudes, moved)
    monkeypatch.setattr("cryoparts.states.particle_features._BATCH", 7)
    pieces = describe_particles(members, amplitudes, moved)
    np.testing.assert_allclose(pieces.components, whole.components, atol=1e-5)
    np.testing.assert_allclose(whole.components.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(
        whole.displacement_rms_angstrom,
        np.sqrt((moved[:, members].astype(float) ** 2).sum(-1).mean(-1)),
    )


def test_saved_focus_is_read_back_by_name(tmp_path):
    amplitudes, _, members = fading(9, (1.0, 0.2), particles=50)
    seen = focus_on_part(names_of(50), members, amplitudes)
    seen.save(tmp_path / "part_1")
    back = FocusedParticles.load(tmp_path / "part_1")
    np.testing.assert_array_equal(back.names, seen.names)
    np.testing.assert_array_equal(back.states, seen.states)
    np.testing.assert_allclose(back.coordinate, seen.coordinate, rtol=1e-6)
    np.testing.assert_allclose(back.embedding, seen.embedding, rtol=1e-5, atol=1e-6)
    assert (back.order, back.chosen_by) == (seen.order, seen.chosen_by)
    assert not list(tmp_path.rglob("*.partial*"))


def test_a_folder_that_is_no_focus(tmp_path):
    with pytest.raises(InputError, match="cryoparts focus"):
        FocusedParticles.load(tmp_path)


def with_junk(amplitudes, seed: int, share: float = 0.25):
    """Rows of particles that the model does not describe, mixed in, and which ones count."""
    rng = np.random.default_rng(seed)
    junk = int(share * len(amplitudes) / (1 - share))
    scattered = rng.normal(0.6, 1.0, size=(junk, 1)) + 0.3 * rng.normal(
        size=(junk, amplitudes.shape[1])
    )
    counted = np.arange(len(amplitudes) + junk) < len(amplitudes)
    order = rng.permutation(len(counted))
    return np.concatenate([amplitudes, scattered])[order], counted[order], order


@pytest.mark.parametrize("order", ["clusters", "mixture"])
@pytest.mark.parametrize("levels", [(1.0, 0.2), (1.2, 0.7, 0.2)])
def test_junk_changes_no_state(levels, order):
    amplitudes, truth, members = fading(1, levels)
    alone = focus_on_part(names_of(600), members, amplitudes, order=order)
    mixed, counted, place = with_junk(amplitudes, seed=5)
    seen = focus_on_part(names_of(len(mixed)), members, mixed, order=order, counted=counted)
    assert seen.n_states == alone.n_states == len(levels)
    np.testing.assert_array_equal(seen.states[counted], alone.states[place[counted]])
    np.testing.assert_allclose(seen.certainty[counted], alone.certainty[place[counted]], atol=0.01)
    assert set(seen.states[~counted]) <= set(range(1, len(levels) + 1))
    assert adjusted_rand_score(truth[place[counted]], seen.states[counted]) > 0.9


def test_junk_moves_no_curve():
    rng = np.random.default_rng(3)
    angle = rng.uniform(-1, 1, 500)
    direction = rng.normal(size=(30, 3))
    moved = 4 * angle[:, None, None] * direction + 0.2 * rng.normal(size=(500, 30, 3))
    wild = 10 * rng.normal(size=(150, 1, 1)) * direction + 2 * rng.normal(size=(150, 30, 3))
    members, counted = np.ones(30, dtype=bool), np.arange(650) < 500
    alone = focus_on_part(names_of(500), members, None, moved, order="curve", n_states=5)
    seen = focus_on_part(
        names_of(650), members, None, np.concatenate([moved, wild]), order="curve", n_states=5,
        counted=counted,
    )  # fmt: skip
    np.testing.assert_array_equal(seen.states[:500], alone.states)
    np.testing.assert_allclose(seen.coordinate[:500], alone.coordinate, atol=1e-6)
    assert seen.coordinate.min() >= 0
    assert seen.coordinate.max() <= 1
    assert set(seen.states) == {1, 2, 3, 4, 5}


def test_where_too_few_count_all_do():
    amplitudes, _, members = fading(1, (1.0, 0.2))
    counted = np.arange(600) < 2
    seen = focus_on_part(names_of(600), members, amplitudes, n_states=3, counted=counted)
    alone = focus_on_part(names_of(600), members, amplitudes, n_states=3)
    assert seen.n_states == alone.n_states == 3


def seen_of(amplitudes, displacements=None):
    members = np.ones(amplitudes.shape[1], dtype=bool)
    return describe_particles(members, amplitudes, displacements)


def test_a_part_that_comes_and_goes_by_the_images_is_there_or_away():
    rng = np.random.default_rng(7)
    amplitudes = 1 + 0.2 * rng.normal(size=(500, 1)) + 0.1 * rng.normal(size=(500, 30))
    features = seen_of(amplitudes)
    seen = focus_on_features(names_of(500), features, (1,))
    probability = np.where(rng.random(500) < 0.04, 0.02, 0.97)
    told = by_presence(seen, features.components, probability)
    assert told is not None
    assert told.order == "presence"
    np.testing.assert_array_equal(told.states == 1, probability > 0.5)
    np.testing.assert_allclose(told.certainty, np.where(probability > 0.5, 0.97, 0.98))
    np.testing.assert_array_equal(told.embedding, seen.embedding)
    assert by_presence(seen, features.components, np.full(500, 0.9)) is None


def test_presence_is_that_of_the_images_where_the_decoder_mixes_it_up():
    rng = np.random.default_rng(8)
    there = rng.random(600) < 0.5
    wrong = rng.random(600) < 0.1  # clearly one or the other to the decoder, but wrongly
    amplitudes = (there ^ wrong)[:, None] + 0.05 * rng.normal(size=(600, 20))
    features = seen_of(amplitudes)
    seen = focus_on_features(names_of(600), features, (1,))
    assert seen.n_states == 2
    told = by_presence(seen, features.components, np.where(there, 0.95, 0.05))
    np.testing.assert_array_equal(told.states, np.where(there, 1, 2))


def test_clusters_of_particles_that_have_the_part_remain_states():
    rng = np.random.default_rng(9)
    there, bent = rng.random(900) < 0.6, rng.random(900) < 0.5
    wrong = rng.random(900) < 0.05
    amplitudes = (there ^ wrong)[:, None] + 0.05 * rng.normal(size=(900, 20))
    moved = np.zeros((900, 20, 3))
    moved[..., 0] = np.where(bent & (there ^ wrong), 6.0, 0.0)[:, None]
    moved += 0.2 * rng.normal(size=moved.shape)
    features = seen_of(amplitudes, moved)
    seen = focus_on_features(names_of(900), features, (1,))
    assert seen.n_states == 3
    junk = rng.random(900) < 0.1
    told = by_presence(seen, features.components, np.where(there, 0.9, 0.1), ~junk)
    np.testing.assert_array_equal(told.states == 3, ~there)
    clear = there & ~wrong
    straight, other = (np.bincount(told.states[clear & b], minlength=4) for b in (bent, ~bent))
    assert {int(straight.argmax()), int(other.argmax())} == {1, 2}
    assert straight.max() == straight.sum()
    assert other.max() == other.sum()
    assert ((told.certainty > 0) & (told.certainty <= 1)).all()


def test_states_by_presence_are_read_as_they_were_written(tmp_path):
    features = seen_of(np.ones((40, 5)))
    seen = focus_on_features(names_of(40), features, (1,), n_states=1)
    probability = np.linspace(0, 1, 40)
    told = by_presence(seen, features.components, probability)
    told.save(tmp_path / "one")
    read = FocusedParticles.load(tmp_path / "one")
    assert read.order == "presence"
    np.testing.assert_array_equal(read.states, told.states)
    (first, second) = state_populations({1: tmp_path / "one"})
    assert (first.hard, second.hard) == (20, 20)
    assert first.soft == pytest.approx(probability.sum(), rel=1e-5)
    assert first.soft + second.soft == pytest.approx(40)
