from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.inference.decoded import Decoded
from cryoparts.parts.part_labels import PartLabels
from cryoparts.training.split import Split
from cryoparts.validation.null_amplitude import (
    amplitude_change,
    compare_with_null,
    displacement_rms_angstrom,
    without_parts,
)
from cryoparts.validation.null_judgement import (
    NullTest,
    labels_checksum,
    null_test,
    sample_of,
)
from cryoparts.validation.trust_record import PartTrust, TrustRecord
from decoder_outputs import decoded

PARTICLES = 400


def labelled(labels: np.ndarray, names: tuple[str, ...] = ()) -> PartLabels:
    count = len(labels)
    zeros = np.zeros(count)
    return PartLabels(
        labels.astype(np.int64),
        np.zeros((count, 2)),
        np.zeros((count, 3)),
        zeros,
        zeros,
        "pca",
        names,
    )


def noise(random: np.random.Generator, count: int) -> Decoded:
    """What networks make of noise: smooth over the Gaussians, of few dimensions."""
    patterns = random.normal(size=(6, count)) + 1
    moves = random.normal(size=(6, count, 3))
    z = random.normal(size=(PARTICLES, 6))
    return decoded(1 + 0.05 * z @ patterns, np.einsum("pz,znc->pnc", 0.3 * z, moves))


@pytest.fixture
def labels() -> PartLabels:
    return labelled(np.repeat([0, 1, 2], 30))


def test_a_part_that_comes_and_goes_stands_out_and_noise_does_not(labels: PartLabels) -> None:
    random = np.random.default_rng(0)
    state = np.random.default_rng(5).random(PARTICLES) < 0.5
    null = noise(np.random.default_rng(1), 90)
    data = noise(np.random.default_rng(1), 90)
    shuffled = random.permutation(PARTICLES)
    changed = np.array(data.relative_amplitudes)[shuffled]
    changed[:, 30:60] -= 0.6 * state[:, None]
    measured = np.arange(PARTICLES) % 2 == 0
    one, two = compare_with_null(
        labels, decoded(changed, np.array(data.displacements)[shuffled]), null, measured
    )
    assert not one.flagged
    assert one.null_ratio < 0.5
    assert one.amplitude_change > one.null_amplitude_change + 0.1
    assert two.flagged
    assert 0.8 < two.null_ratio < 1.2
    assert two.null_ratio_high > two.null_ratio
    assert two.amplitude_change == pytest.approx(two.null_amplitude_change, rel=0.15)


def test_the_change_is_measured_as_in_the_table_of_parts() -> None:
    random = np.random.default_rng(0)
    moves = random.normal(size=(50, 7, 3))
    outputs = decoded(1 + random.random((50, 7)), moves)
    assert amplitude_change(outputs) == pytest.approx(
        np.std(outputs.relative_amplitudes, axis=0).mean()
    )
    about_mean = moves - moves.mean(axis=0)
    assert displacement_rms_angstrom(outputs) == pytest.approx(
        np.sqrt((about_mean**2).sum(axis=2).mean())
    )


def test_a_scale_common_to_data_and_null_changes_no_ratio(labels: PartLabels) -> None:
    both = [noise(np.random.default_rng(seed), 90) for seed in (1, 2)]
    measured = np.arange(PARTICLES) % 2 == 0
    amplitudes = [np.array(of.relative_amplitudes) for of in both]
    displacements = [np.array(of.displacements) for of in both]
    for once, twice in (
        ([decoded(of, None) for of in amplitudes], [decoded(2 * of, None) for of in amplitudes]),
        (
            [decoded(None, of) for of in displacements],
            [decoded(None, 2 * of) for of in displacements],
        ),
    ):
        for a, b in zip(
            compare_with_null(labels, *once, measured),
            compare_with_null(labels, *twice, measured),
            strict=True,
        ):
            assert a.null_ratio == pytest.approx(b.null_ratio, rel=1e-6)


def test_where_networks_put_what_is_away_is_no_displacement(labels: PartLabels) -> None:
    random = np.random.default_rng(0)
    there = np.ones((PARTICLES, 90))
    there[:, 30:60] = random.integers(2, size=(PARTICLES, 1))
    moved = random.normal(size=(PARTICLES, 90, 3))
    away = np.where(there[..., None] > 0, moved, 9.0)
    measured = np.arange(PARTICLES) % 2 == 0
    null = noise(np.random.default_rng(1), 90)
    one, two = compare_with_null(labels, decoded(there, away), null, measured)
    assert one.displacement_rms_angstrom == pytest.approx(np.sqrt(3), rel=0.05)
    assert two.displacement_rms_angstrom == pytest.approx(np.sqrt(3), rel=0.05)


def test_too_few_particles_are_refused(labels: PartLabels) -> None:
    outputs = noise(np.random.default_rng(0), 90)
    with pytest.raises(ValueError, match="two particles"):
        compare_with_null(labels, outputs, outputs, np.ones(PARTICLES, dtype=bool))


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(-1, 4), min_size=6, max_size=30), st.sets(st.integers(1, 4)))
def test_dropped_parts_go_to_the_core_and_the_others_keep_their_gaussians(
    drawn: list[int], gone: set[int]
) -> None:
    labels = labelled(
        np.array([*drawn, 0, 1, 2, 3, 4]), ("core", "part_1", "head", "part_3", "arm")
    )
    kept = without_parts(labels, gone)
    staying = [k for k in range(1, 5) if k not in gone]
    assert kept.n_parts == len(staying)
    for number, part in enumerate(staying, start=1):
        assert np.array_equal(kept.members(number), labels.members(part))
        user = labels.name(part) in ("head", "arm")
        assert kept.name(number) == (labels.name(part) if user else f"part_{number}")
    assert kept.members(0)[np.isin(labels.labels, [0, *gone])].all()
    if not staying:
        assert (kept.labels == 0).all()


@dataclass(frozen=True)
class Setup:
    split: Split


@pytest.mark.parametrize(("told", "left"), [((), 0), ((1,), 1), ((1, 2), 1)])
def test_a_slight_part_is_kept_where_the_images_say_that_it_moves(monkeypatch, told, left) -> None:
    """Part 1 moves a little more than null particles do, part 2 as they do."""
    labels = labelled(np.repeat([0, 1, 2], 30))
    random = np.random.default_rng(0)
    null = random.normal(size=(PARTICLES, 90, 3)) * 0.02
    null += 0.5 * random.normal(size=(PARTICLES, 1, 3)) * (labels.labels > 0)[:, None]
    moved = null[random.permutation(PARTICLES)].copy()
    moved[:, 30:60] += 0.8 * random.normal(size=(PARTICLES, 1, 1)) * np.array([1.0, 0, 0])
    split = Split(np.arange(0, PARTICLES, 2), np.arange(1, PARTICLES, 2))
    run = SimpleNamespace(
        training=SimpleNamespace(seed=0),
        trusted_split=split,
        particles=SimpleNamespace(image=None),
        decoder=SimpleNamespace(decode=lambda rows: decoded(None, moved[rows])),
        setup=Setup(split),
    )
    monkeypatch.setattr(
        "cryoparts.validation.null_judgement.null_decoder",
        lambda decoder, setup, rows, seed, progress: SimpleNamespace(
            decode=lambda: decoded(None, null[rows])
        ),
    )
    tested, kept = null_test(run, labels, drop=True, moving=told)
    assert kept.n_parts == left
    assert [part.moves_by_images for part in tested.parts] == [True] * left
    slight = [part for part in (*tested.parts, *tested.dropped) if part.null_ratio < 0.8]
    assert len(slight) == 1  # part 2 is as null particles are, whatever the images say


def test_what_the_images_show_now_there_and_now_not_is_no_noise_of_the_networks(labels) -> None:
    outputs = noise(np.random.default_rng(0), 90)
    judged = compare_with_null(labels, outputs, outputs, np.arange(PARTICLES) % 2 == 0)
    assert all(part.flagged for part in judged)
    assert not any(replace(part, fades_by_images=True).flagged for part in judged)
    assert PartTrust("part_1", "a", null_ratio=0.95).flagged
    assert not PartTrust("part_1", "a", null_ratio=0.95, fades_by_images=True).flagged


def test_held_out_particles_are_measured_on_where_there_are_enough() -> None:
    rows, measured = sample_of(Split(np.arange(0, 900), np.arange(900, 1000)), 0)
    assert np.array_equal(rows[measured], np.arange(900, 1000))
    rows, measured = sample_of(Split(np.arange(1000), np.arange(0)), 0)
    assert measured.sum() == 500
    assert len(np.unique(rows)) == 1000


def test_the_null_test_and_the_record_come_back_from_their_files(tmp_path, labels) -> None:
    outputs = noise(np.random.default_rng(0), 90)
    judged = compare_with_null(labels, outputs, outputs, np.arange(PARTICLES) % 2 == 0)
    test = NullTest(tuple(judged[:1]), tuple(judged[1:]), (30,), labels_checksum(labels), 200)
    test.save(tmp_path)
    loaded = NullTest.load(tmp_path)
    assert loaded is not None
    assert loaded.labels == test.labels
    assert loaded.parts[0].null_ratio == test.parts[0].null_ratio
    np.testing.assert_allclose(loaded.dropped[0].coordinate, judged[1].coordinate, rtol=1e-3)
    parts = (
        PartTrust("part_1", "head", null_ratio=0.3, stability_halves=0.9, leakage_quantity="shift"),
        PartTrust("part_2", "part_2", null_ratio=0.95, stability_subsamples=0.2),
        PartTrust("part_3", "part_3", null_ratio=0.4, trained_null_ratio=0.9),
        PartTrust(
            "part_4", "part_4", null_ratio=0.6, amplitude_change=0.03,
            displacement_rms_angstrom=1.0, moves_by_images=True,
        ),
        PartTrust("part_5", "part_5", null_ratio=0.9, fades_by_images=True),
    )  # fmt: skip
    TrustRecord(parts, {"trained_again": {}}).save(tmp_path)
    record = TrustRecord.load(tmp_path)
    assert record is not None
    assert [part.flagged for part in record.parts] == [False, True, True, False, False]
    assert replace(record.parts[3], moves_by_images=False).flagged
    assert record.parts[0].verdict == "holds"
    assert "null" in record.parts[1].verdict
    assert "not found again" in record.parts[1].verdict
    assert record.parts[0].least_stable == 0.9
    assert record.parts[0].name == "head"
    header, first = (tmp_path / "parts.csv").read_text().splitlines()[:2]
    row = dict(zip(header.split(","), first.split(","), strict=True))
    assert row["flagged"] == "no"
    assert row["null_ratio"] == "0.3"
    assert row["stability_seeds"] == ""
