"""Couplings of segments and regions: what is asked for is what is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.evaluation.truth import load_truth
from cryoparts.simulation.composition import simulate_composition
from cryoparts.simulation.coupling import (
    coupled_presence,
    coupled_shares,
    read_couplings,
)
from cryoparts.simulation.scene_options import CompositionOptions

NAMES = ("a", "b", "c", "d")
UNIFORM = np.random.default_rng(0).random((20_000, 4))


@pytest.mark.parametrize(
    ("share", "probability"), [(0.6, 0.5), (-0.3, 0.5), (0.8, 0.3), (0.0, 0.5)]
)
def test_presences_correlate_as_asked_and_keep_their_probability(share, probability):
    couplings = read_couplings([f"a,c={share}"], NAMES)
    present = coupled_presence(UNIFORM, probability, couplings)
    np.testing.assert_allclose(present.mean(axis=0), probability, atol=0.015)
    correlation = np.corrcoef(present.T)
    assert correlation[0, 2] == pytest.approx(share, abs=0.025)
    np.testing.assert_array_equal(present[:, [1, 3]], UNIFORM[:, [1, 3]] < probability)


def test_a_requirement_holds_in_every_particle_and_through_others():
    couplings = read_couplings(["c requires b", " b requires a "], NAMES)
    present = coupled_presence(UNIFORM, 0.5, couplings)
    assert not (present[:, 1] & ~present[:, 0]).any()
    assert not (present[:, 2] & ~present[:, 0]).any()
    np.testing.assert_allclose(present.mean(axis=0), [0.5, 0.25, 0.125, 0.5], atol=0.015)


@pytest.mark.parametrize("share", [0.8, -0.5])
def test_angles_correlate_as_asked_and_stay_uniform(share):
    shares = 2 * UNIFORM - 1
    coupled = coupled_shares(shares, read_couplings([f"b, d = {share}"], NAMES, may_require=False))
    assert np.corrcoef(coupled.T)[1, 3] == pytest.approx(share, abs=0.02)
    assert np.abs(coupled).max() <= 1
    np.testing.assert_allclose(
        np.quantile(coupled[:, 1], [0.25, 0.5, 0.75]), [-0.5, 0, 0.5], atol=0.03
    )
    np.testing.assert_array_equal(coupled[:, [0, 2]], shares[:, [0, 2]])


def test_nothing_coupled_changes_nothing():
    none = read_couplings([], NAMES)
    np.testing.assert_array_equal(coupled_presence(UNIFORM, 0.4, none), UNIFORM < 0.4)
    assert coupled_shares(UNIFORM, none) is UNIFORM


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["a needs b"], "cannot be read"),
        (["a requires z"], "nothing is called 'z'"),
        (["a,a=0.5"], "to itself"),
        (["a,b=2"], "-1 to 1"),
        (["a,b=x"], "-1 to 1"),
        (["a requires b", "b requires a"], "circle"),
    ],
)
def test_bad_couplings_are_refused(texts, words):
    with pytest.raises(InputError, match=words):
        read_couplings(texts, NAMES)


def test_impossible_correlations_are_refused():
    with pytest.raises(InputError, match="exclude each other"):
        coupled_shares(UNIFORM, read_couplings(["a,b=0.9", "b,c=0.9", "a,c=-0.9"], NAMES))
    with pytest.raises(InputError, match="does not exist"):
        coupled_presence(UNIFORM, 0.2, read_couplings(["a,b=-0.9"], NAMES))
    with pytest.raises(InputError, match="cannot be read"):
        read_couplings(["a requires b"], NAMES, may_require=False)


def test_the_truth_records_the_couplings_only_where_there_are_any(tmp_path, blob, imaging):
    table = tmp_path / "segments.csv"
    table.write_text("chain,segment\nA,x\nB,y\nC,z\n", encoding="utf-8")
    options = {"segments_file": table, "core": "x"}
    plain = simulate_composition(blob, tmp_path / "a", imaging, CompositionOptions(**options))
    tied = CompositionOptions(**options, couple=("z requires y",))
    coupled = simulate_composition(blob, tmp_path / "b", imaging, tied)
    with np.load(plain / "truth.npz") as stored:
        assert "couplings" not in stored
    assert load_truth(plain).couplings.size == 0
    truth = load_truth(coupled)
    assert truth.couplings.tolist() == ["z requires y"]
    expected = load_truth(plain).presence.copy()
    expected[:, 2] &= expected[:, 1]
    np.testing.assert_array_equal(truth.presence, expected)
