"""Presence, occupancy and coordination against the truth: nothing wrong where all is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.coordination.coordination import Pair
from cryoparts.coordination.coordination_files import save_coordination
from cryoparts.evaluation.coordination_accuracy import coordination_accuracy
from cryoparts.evaluation.occupancy_accuracy import BINS, occupancy_accuracy, reliability
from cryoparts.evaluation.occupancy_evaluation import evaluate_coordination, evaluate_occupancies
from cryoparts.occupancy.composition import Composition
from cryoparts.occupancy.image_amplitudes import ImageAmplitudes
from cryoparts.occupancy.presence import Presence
from cryoparts.simulation.ground_truth import CompositionTruth, MotionTruth

seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=10)
@given(seeds)
def test_a_perfectly_known_presence_has_no_error_and_its_contrary_is_all_wrong(seed):
    there = np.random.default_rng(seed).random(200) < 0.3
    share = there.mean()
    found = occupancy_accuracy(there, there, share, share, share)
    assert (found.error_points, found.brier_score, found.calibration_error) == (0, 0, 0)
    assert (found.accuracy, found.covered, found.true_occupancy) == (1.0, True, share)
    turned = occupancy_accuracy(~there, there, 1 - share, 1 - share, 1 - share)
    assert (turned.accuracy, turned.brier_score, turned.calibration_error) == (0, 1, 1)
    assert not turned.covered
    assert turned.error_points == pytest.approx(100 * abs(1 - 2 * share))


def test_knowing_nothing_is_calibrated_but_tells_nothing():
    there = np.arange(200) % 4 == 0
    found = occupancy_accuracy(np.full(200, 0.25), there, 0.27, 0.2, 0.26)
    assert found.calibration_error == 0.0
    assert found.brier_score == pytest.approx(0.25 * 0.75)
    assert found.accuracy == 0.75
    assert found.error_points == pytest.approx(2.0)
    assert found.covered


@settings(deadline=None, max_examples=10)
@given(seeds)
def test_the_bins_hold_every_particle_once(seed):
    random = np.random.default_rng(seed)
    p = np.concatenate([random.random(300), BINS])
    there = random.random(len(p)) < p
    bins = reliability(p, there)
    assert sum(b.particles for b in bins) == len(p)
    assert sum(b.particles * b.predicted for b in bins) == pytest.approx(p.sum())
    assert sum(b.particles * b.observed for b in bins) == pytest.approx(there.sum())
    assert all(b.low <= b.predicted <= b.high for b in bins)


def test_probabilities_that_are_true_are_calibrated_and_bold_ones_are_not():
    random = np.random.default_rng(0)
    p = random.random(20_000)
    there = random.random(20_000) < p
    assert occupancy_accuracy(p, there, 0.5, 0.4, 0.6).calibration_error < 0.015
    bold = np.clip(2 * p - 0.5, 0, 1)
    assert occupancy_accuracy(bold, there, 0.5, 0.4, 0.6).calibration_error > 0.08
    with pytest.raises(ValueError, match="must agree"):
        occupancy_accuracy(p, there[1:], 0.5, 0.4, 0.6)


@dataclass(frozen=True)
class RunPaths:
    """As much of a run as the evaluation of composition looks at."""

    composition_path: Path
    coordination_path: Path


def presence_truth(presence, couplings=()):
    count, segments = presence.shape
    return CompositionTruth(
        names=np.array([f"{i:03d}@p.mrcs" for i in range(count)]),
        seed=0,
        image_scale=1.0,
        contrast="bright",
        atom_positions=np.zeros((segments, 3), dtype=np.float32),
        atom_masses=np.ones(segments, dtype=np.float32),
        atom_segment=np.arange(segments),
        segment_names=np.array(["body", "arm", "leg", "tail"][:segments]),
        presence=presence,
        core=0,
        couplings=np.array(couplings, dtype=np.str_),
    )


def known(truth, order, wrong=0):
    """A composition that is certain of the arm (part 2) and leg (part 1), and right but `wrong`."""
    presence = truth.presence[order].astype(float)
    presence[:wrong, 1] = 1 - presence[:wrong, 1]
    columns = presence[:, [2, 1]]
    parts = tuple(
        Presence("present or absent", p, p.mean(), p.mean(), p.mean(), 0, 1, 0.1, 0.1, 10, 100)
        for p in columns.T
    )
    covariance = np.tile(0.01 * np.eye(2), (len(order), 1, 1))
    measured = ImageAmplitudes(truth.names[order], columns, covariance)
    return Composition(measured, ("LEG", "ARM"), parts)


PART_OF = {"body": None, "arm": 2, "leg": 1, "tail": None}


def test_a_composition_is_compared_particle_by_particle_in_any_order(tmp_path):
    random = np.random.default_rng(1)
    truth = presence_truth(random.random((100, 4)) < 0.6)
    run = RunPaths(tmp_path / "composition", tmp_path / "coordination")
    assert evaluate_occupancies(run, truth, PART_OF) == ({}, {})  # not yet judged
    order = random.permutation(100)
    known(truth, order).save(run.composition_path)
    headline, details = evaluate_occupancies(run, truth, PART_OF)
    assert set(details["occupancies"]) == {"arm", "leg"}
    assert headline["occupancies, largest error"] == "0.00 percentage points"
    assert headline["presence judged rightly, mean over parts"] == "100.00%"
    assert evaluate_occupancies(run, truth, dict.fromkeys(PART_OF)) == ({}, {})
    known(truth, order, wrong=10).save(run.composition_path)
    details = evaluate_occupancies(run, truth, PART_OF)[1]["occupancies"]
    assert details["arm"]["accuracy"] == 0.9
    assert details["leg"]["accuracy"] == 1.0


def pair(a, b, correlation=0.0, verdict="no sign", p=0.5, kind="presence"):
    return Pair(a, b, (kind, kind), correlation, -1, 1, 0, 0, p, p, p, 0.05, verdict, None)


def write_pairs(folder, pairs, order=()):
    save_coordination(folder, pairs, ("LEG", "ARM", "TAIL"), 100, None)
    requirements = [{"earlier": f"part_{a}", "later": f"part_{b}"} for a, b in order]
    (folder / "assembly.json").write_text(json.dumps({"requirements": requirements}))


CHAIN = ("leg requires arm", "tail requires leg")
PARTS = {"body": None, "arm": 2, "leg": 1, "tail": 3}
NAMES = ["body", "arm", "leg", "tail"]


def chained(count=400):
    presence = np.random.default_rng(2).random((count, 4)) < 0.7
    presence[:, 2] &= presence[:, 1]
    presence[:, 3] &= presence[:, 2]
    return presence


def true_correlation(presence, a, b):
    return float(np.corrcoef(presence[:, a], presence[:, b])[0, 1])


def test_what_follows_from_the_couplings_is_coupled_too(tmp_path):
    presence = chained()
    pairs = [
        pair(1, 2, true_correlation(presence, 2, 1), "coordinated"),
        pair(1, 3, true_correlation(presence, 2, 3), "coordinated"),
        pair(2, 3, true_correlation(presence, 1, 3), "too weak to tell"),
    ]
    write_pairs(tmp_path, pairs, order=[(2, 1), (1, 3), (3, 1)])
    found = coordination_accuracy(tmp_path, PARTS, presence, NAMES, CHAIN)
    assert (found.pairs, found.coupled, found.found_coupled) == (3, 3, 2)
    assert (found.independent, found.false_positives) == (0, 0)
    assert found.correlation_error < 1e-6
    # arm before leg before tail, so arm before tail; leg before tail the wrong way round too
    assert (found.requirements, found.found_requirements, found.wrong_requirements) == (3, 2, 1)


def test_what_was_called_without_cause_is_counted(tmp_path):
    presence = np.random.default_rng(3).random((400, 4)) < 0.5
    pairs = [
        pair(1, 2, 0.3, "coordinated", p=0.001),
        pair(1, 3, -0.4, "too weak to tell", p=0.02),
        pair(2, 3, true_correlation(presence, 1, 3), "coordinated", p=0.049),
        pair(2, 4, 0.9, "coordinated", p=0.0),  # part 4 stands for nothing true
    ]
    save_coordination(tmp_path, pairs, ("a", "b", "c", "d"), 100, None)
    found = coordination_accuracy(tmp_path, PARTS, presence, NAMES, ("arm,tail=0.5",))
    assert (found.pairs, found.coupled, found.found_coupled) == (3, 1, 1)
    assert (found.independent, found.false_positives) == (2, 1)
    assert found.below_level_by_permutation == 2
    errors = [0.3 - true_correlation(presence, 2, 1), -0.4 - true_correlation(presence, 2, 3), 0]
    assert found.correlation_error == pytest.approx(np.sqrt(np.mean(np.square(errors))), abs=1e-5)
    assert (found.requirements, found.found_requirements, found.wrong_requirements) == (0, 0, 0)
    nobody = dict.fromkeys(PARTS)
    assert coordination_accuracy(tmp_path, nobody, presence, NAMES, ()) is None


def test_the_sign_of_an_angle_is_a_convention_and_of_a_presence_is_not(tmp_path):
    presence = chained()
    turned = -true_correlation(presence, 2, 1)
    for kind, expected in (("angle", 0.0), ("presence", 2 * abs(turned))):
        save_coordination(tmp_path, [pair(1, 2, turned, kind=kind)], ("a", "b"), 100, None)
        found = coordination_accuracy(tmp_path, PARTS, presence, NAMES, ())
        assert found.correlation_error == pytest.approx(expected, abs=1e-5)


def test_the_headline_says_how_many_of_how_many(tmp_path):
    run = RunPaths(tmp_path / "composition", tmp_path)
    truth = presence_truth(chained(), CHAIN)
    assert evaluate_coordination(run, truth, PARTS) == ({}, {})  # not yet tested
    write_pairs(tmp_path, [pair(1, 2, 0.5, "coordinated"), pair(1, 3), pair(2, 3)], [(2, 1)])
    headline, details = evaluate_coordination(run, truth, PARTS)
    assert headline == {
        "independent pairs called coordinated": "0 of 0",
        "coupled pairs found": "1 of 3",
        "order of assembly, requirements found": "1 of 3, 0 wrong",
    }
    assert details["coordination"]["pairs"] == 3
    angles = np.random.default_rng(4).normal(size=(50, 2))
    empty = np.zeros((0, 3))
    motion = MotionTruth(
        truth.names[:50], 0, 1.0, "bright", empty, empty[:, 0], np.zeros(0, dtype=np.int64),
        np.array(["arm", "leg"]), np.zeros((2, 3)), np.zeros((2, 3)), angles,
    )  # fmt: skip
    write_pairs(tmp_path, [pair(1, 2, 0.1, "coordinated", kind="angle")])
    headline, _ = evaluate_coordination(run, motion, PARTS)
    assert headline == {"independent pairs called coordinated": "1 of 1"}
