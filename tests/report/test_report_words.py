"""What the page says: verdicts, leaks, joins by name, wording."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.conventions import CtfParameters, Poses, rotation_from_euler
from cryoparts.figures.latent import principal_plane
from cryoparts.figures.run_results import read_run
from cryoparts.palette import PART_COLOURS, STATE_COLOURS, part_colour, part_words, state_shades
from cryoparts.report.verdict import findings, headline, judge
from cryoparts.report.wording import duration, flattened, percent
from cryoparts.validation.leakage import measure_leaks


@pytest.fixture(scope="module")
def results(whole_run):
    return read_run(whole_run.folder)


def with_frc(results, held_out, train=None):
    training = results.training
    held_out = np.asarray(held_out, dtype=float)
    train = held_out if train is None else np.asarray(train, dtype=float)
    rows = slice(0, len(held_out))
    columns = {name: getattr(training, name)[rows] for name in training.__dataclass_fields__}
    columns |= {"held_out_frc": held_out, "train_frc": train}
    return replace(results, training=type(training)(**columns))


def test_a_good_run_is_called_good(results):
    verdict = judge(results, 5000, [])
    assert verdict.trust == "good"
    assert headline(results, verdict).startswith("2 parts change, together ")


def test_a_few_particles_are_a_warning_and_very_few_a_refusal(results):
    assert judge(results, 600, []).trust == "caution"
    assert judge(results, 150, []).trust == "none"


def test_no_better_than_the_neutral_model_means_nothing_can_be_concluded(results):
    for held_out in ([0.12, 0.12, 0.119], [0.12, 0.11, 0.115]):
        verdict = judge(with_frc(results, held_out), 5000, [])
        assert verdict.trust == "none"
        assert "no better" in verdict.reasons[0]
        assert headline(results, verdict) == "Nothing can be concluded from this run."


def test_the_best_epoch_counts_and_not_the_last(results):
    run = with_frc(results, [0.12, 0.15, 0.11])
    assert judge(run, 5000, []).trust == "good"
    assert "0.1500" in judge(run, 5000, []).reasons[0]


def test_learning_noise_is_a_warning(results):
    verdict = judge(with_frc(results, [0.12, 0.125], [0.12, 0.16]), 5000, [])
    assert verdict.trust == "caution"
    assert "8 times" in verdict.reasons[0]


def test_nothing_held_out_is_a_warning(results):
    verdict = judge(with_frc(results, [np.nan, np.nan]), 5000, [])
    assert verdict.trust == "caution"
    assert "No particles were held out" in verdict.reasons[0]


def test_the_shares_of_the_parts_are_shares_of_mass(results):
    amplitude = results.model.amplitudes.astype(float)
    for finding in findings(results):
        members = results.parts.labels == finding.label
        assert finding.mass_share == pytest.approx(amplitude[members].sum() / amplitude.sum())


def seen(count, seed):
    rng = np.random.default_rng(seed)
    angles = [rng.uniform(-180, 180, count), np.degrees(np.arccos(rng.uniform(-1, 1, count)))]
    rotation = rotation_from_euler(*angles, rng.uniform(-180, 180, count))
    ctf = {name: np.zeros(count) for name in CtfParameters.__dataclass_fields__}
    ctf["defocus_u_angstrom"] = ctf["defocus_v_angstrom"] = rng.uniform(8e3, 2e4, count)
    return Poses(rotation, rng.normal(size=(count, 2))), CtfParameters(**ctf)


def test_a_latent_space_of_views_is_found_out_and_one_of_states_is_not():
    poses, ctf = seen(1500, 0)
    rng = np.random.default_rng(1)
    honest = rng.normal(size=(1500, 4)) + 3 * (rng.random((1500, 1)) < 0.5)
    assert not any(leak.worrying for leak in measure_leaks(honest, poses, ctf))
    views = np.column_stack([poses.rotation[:, 2], rng.normal(size=1500) * 0.1])
    leaks = {leak.quantity: leak.explained for leak in measure_leaks(views, poses, ctf)}
    assert leaks["viewing direction"] > 0.8
    assert leaks["defocus"] < 0.05
    defocus = ctf.defocus_u_angstrom[:, None] + 300 * rng.normal(size=(1500, 2))
    leaks = {leak.quantity: leak.explained for leak in measure_leaks(defocus, poses, ctf)}
    assert leaks["defocus"] > 0.8
    assert leaks["viewing direction"] < 0.05


def test_a_leak_is_a_warning_on_the_page(results):
    poses, ctf = seen(1500, 0)
    verdict = judge(results, 5000, measure_leaks(poses.rotation[:, 2], poses, ctf))
    assert verdict.trust == "caution"
    assert "viewing direction" in verdict.reasons[0]


def test_few_particles_leak_nothing_that_could_be_measured():
    poses, ctf = seen(100, 0)
    assert measure_leaks(np.random.default_rng(0).normal(size=(100, 3)), poses, ctf) == []


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31), st.integers(3, 8))
def test_the_plane_does_not_depend_on_how_the_latent_space_is_turned(seed, dimensions):
    rng = np.random.default_rng(seed)
    z = rng.normal(size=(80, dimensions)) * np.arange(1, dimensions + 1)
    turn = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))[0]
    one, other = principal_plane(z), principal_plane(z @ turn + 5.0)
    np.testing.assert_allclose(np.abs(one.points), np.abs(other.points), atol=1e-6)
    np.testing.assert_allclose(one.share, other.share, atol=1e-9)
    assert one.share[0] >= one.share[1] > 0
    assert sum(one.share) <= 1 + 1e-9


@pytest.mark.parametrize("dimensions", [1, 2])
def test_one_and_two_dimensions_are_shown_as_they_are(dimensions):
    z = np.random.default_rng(0).normal(size=(20, dimensions))
    plane = principal_plane(z)
    np.testing.assert_array_equal(plane.points[:, :dimensions], z)
    assert sum(plane.share) == pytest.approx(1.0)


def test_colours_of_parts_and_states_are_all_different_and_never_those_of_the_core():
    everything = [*PART_COLOURS, *STATE_COLOURS]
    assert len(set(everything)) == len(everything)
    assert part_colour(0) not in PART_COLOURS
    assert part_colour(len(PART_COLOURS) + 1) == part_colour(1)


def test_states_are_shades_of_their_part_from_dark_to_light():
    for label in range(len(PART_COLOURS) + 1):
        for count in (1, 2, 3, 7):
            shades = state_shades(label, count)
            light = [sum(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in shades]
            assert len(set(shades)) == count
            assert light == sorted(light)
    assert state_shades(3, 1) == [part_colour(3)]


def test_one_name_for_one_thing():
    assert [part_words(name) for name in ("part_12", "arm_2", "core", "state_3")] == [
        "part 12",
        "arm_2",
        "core",
        "state 3",
    ]


def test_numbers_are_worded_for_people():
    assert [duration(s) for s in (5, 89, 91, 7200, 7265)] == [
        "5 s",
        "89 s",
        "2 min",
        "2 h 00 min",
        "2 h 01 min",
    ]
    assert [percent(s) for s in (0.004, 0.0994, 0.0996, 0.5)] == ["0.4%", "9.9%", "10%", "50%"]
    content = {"a": {"b": 0.123456, "c": [1, 2]}, "d": [{"e": True}], "f": None, "g": float("nan")}
    assert flattened(content) == [
        ("a › b", "0.1235"),
        ("a › c", "1, 2"),
        ("d › 1 › e", "yes"),
        ("f", "–"),
        ("g", "–"),
    ]


def test_the_names_of_the_particles_are_held_once(fake_run):
    results = read_run(fake_run().folder)
    assert results.latent is not None
    assert len(results.states) > 1
    for part in results.states.values():
        assert part.focused.names is results.latent.names
