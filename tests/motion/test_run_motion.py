from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.motion import run_motion
from cryoparts.motion.motion_files import (
    read_motion_summary,
    read_part_motion,
    write_motion_summary,
    write_part_motion,
)
from cryoparts.motion.motion_paths import axis_ends, displacement_along
from cryoparts.motion.run_motion import measure_motion, summarise
from cryoparts.parts.part_labels import PartLabels
from decoder_outputs import blur, compact_pieces
from moving_parts import axis_error, off_axis, turn

PARTICLES = 300


@dataclass(frozen=True)
class Decoded:
    relative_amplitudes: np.ndarray | None
    displacements: np.ndarray | None


@dataclass(frozen=True)
class Benchmark:
    """As a good decoder gives it: borders blurred, noise, poses off by a degree."""

    model: GaussianModel
    labels: PartLabels
    axes: np.ndarray
    pivots: np.ndarray
    angles: np.ndarray
    moved: np.ndarray

    def decode(self, rows):
        return Decoded(None, self.moved[rows].astype(np.float32))


@pytest.fixture(scope="module")
def benchmark():
    rng = np.random.default_rng(0)
    positions, segments = compact_pieces(rng, 500, 4, 0.15)
    axes = rng.normal(size=(3, 3))
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    angles = rng.uniform(-12, 12, (PARTICLES, 3))
    pivots = np.array([positions[segments == k].mean(axis=0) + rng.normal(size=3) * 8
                       for k in (1, 2, 3)])  # fmt: skip
    moved = np.zeros((PARTICLES, 500, 3))
    for k in range(3):
        inside = segments == k + 1
        moved[:, inside] = turn(positions[inside], axes[k], pivots[k], angles[:, k])
    moved = np.moveaxis(blur(positions, np.moveaxis(moved, 2, 0), 7), 0, 2)
    moved += 0.5 * rng.normal(size=moved.shape)
    tilt = Rotation.from_rotvec(np.deg2rad(rng.normal(size=(PARTICLES, 3)))).as_matrix()
    moved = (positions + moved) @ np.swapaxes(tilt, 1, 2) - positions
    # the parts as found: one Gaussian in twelve is in the wrong one
    found = segments.copy()
    wrong = rng.choice(500, 40, replace=False)
    found[wrong] = segments[rng.permutation(wrong)]
    model = GaussianModel.of(positions, rng.uniform(0.5, 2, 500), np.full(500, 4))
    labels = PartLabels(
        found, np.zeros((500, 2)), positions, np.zeros(500), np.zeros(500), "pca",
        ("core", "arm", "part_2", "part_3"),
    )  # fmt: skip
    return Benchmark(model, labels, axes, pivots, angles, moved)


def measured(case, **options):
    return measure_motion(case.model, case.labels, case.decode, PARTICLES, **options)


def test_the_accuracy_that_is_promised_of_good_displacements(benchmark):
    motion = measured(benchmark)
    for part, one in motion.parts.items():
        true = benchmark.angles[:, part - 1]
        assert axis_error(one.screw.axis, benchmark.axes[part - 1]) < 5
        assert abs(np.corrcoef(one.signed_angle_degrees, true)[0, 1]) > 0.95
        assert off_axis(benchmark.pivots[part - 1], one.screw.pivot, one.screw.axis) < 3
        assert 0.6 < one.rigid_fraction <= 1


def test_the_frame_matters(benchmark):
    """Poses that are off by a degree turn everything; as seen from the core they do not."""
    core, lab = measured(benchmark), measured(benchmark, frame="lab")
    for part in core.parts:
        true = benchmark.angles[:, part - 1]
        seen = [
            abs(np.corrcoef(m.parts[part].signed_angle_degrees, true)[0, 1]) for m in (core, lab)
        ]
        assert seen[0] > seen[1]
        assert core.parts[part].screw.share > lab.parts[part].screw.share
    assert lab.core.angle_degrees.mean() > 1
    assert summarise(lab, benchmark.labels, "lab")["core"]["angle_rms_degrees"] > 1


def test_chunks_make_no_difference(benchmark, monkeypatch):
    whole = measured(benchmark)
    steps = []
    monkeypatch.setattr(run_motion, "CHUNK", 77)
    chunked = measured(benchmark, progress=lambda done, total: steps.append((done, total)))
    assert steps == [(77, 300), (154, 300), (231, 300), (300, 300)]
    for part, one in whole.parts.items():
        np.testing.assert_allclose(
            chunked.parts[part].signed_angle_degrees, one.signed_angle_degrees, atol=1e-8
        )


def test_particles_without_the_part_say_nothing_of_its_axis(benchmark):
    rng = np.random.default_rng(1)
    present = rng.random(PARTICLES) < 0.6
    inside = benchmark.labels.members(1)
    amplitudes = np.ones((PARTICLES, 500), dtype=np.float32)
    amplitudes[np.ix_(~present, inside)] = 0.1
    moved = benchmark.moved.copy()
    wild = turn(benchmark.model.positions[inside], np.array([0, 0, 1.0]), np.zeros(3),
                rng.uniform(-60, 60, int((~present).sum())))  # fmt: skip
    moved[np.ix_(~present, inside)] = wild
    motion = measure_motion(
        benchmark.model,
        benchmark.labels,
        lambda rows: Decoded(amplitudes[rows], moved[rows]),
        PARTICLES,
    )
    one = motion.parts[1]
    np.testing.assert_array_equal(one.present, present)
    assert axis_error(one.screw.axis, benchmark.axes[0]) < 6
    assert summarise(motion, benchmark.labels, "core")["parts"]["part_1"][
        "particles_with_the_part"
    ] == int(present.sum())


def test_files(benchmark, tmp_path):
    motion = measured(benchmark)
    names = np.array([f"{i:06d}@NA" for i in range(PARTICLES)])
    write_part_motion(tmp_path, 1, names, motion.parts[1])
    assert read_motion_summary(tmp_path) is None
    write_motion_summary(tmp_path, summarise(motion, benchmark.labels, "core"))
    with (tmp_path / "part_1.csv").open() as lines:
        header = next(csv.reader(lines))
    for column in ("name", "angle_degrees", "signed_angle_degrees", "axis_x", "axis_y", "axis_z",
                   "shift_x_angstrom", "shift_y_angstrom", "shift_z_angstrom",
                   "residual_rms_angstrom"):  # fmt: skip
        assert column in header
    back, columns = read_part_motion(tmp_path, 1)
    assert back.tolist() == names.tolist()
    axes = np.stack([columns[f"axis_{letter}"] for letter in "xyz"], axis=1)
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), 1, atol=1e-6)
    vectors = motion.parts[1].motions.rotation_vectors
    np.testing.assert_allclose(
        np.deg2rad(columns["angle_degrees"])[:, None] * axes, vectors, atol=1e-5
    )
    summary = read_motion_summary(tmp_path)
    content = summary["parts"]["part_1"]
    assert content["name"] == "arm"
    assert "right-handed" in summary["convention"]
    np.testing.assert_array_equal(
        np.load(tmp_path / "part_1_angles.npy"), motion.parts[1].signed_angle_degrees
    )
    points = benchmark.model.positions[benchmark.labels.members(1)].astype(float)
    first, last = displacement_along(points, content)
    quantiles = content["signed_angle_degrees"]
    opening = quantiles["quantile_95"] - quantiles["quantile_05"]
    there = turn(points - 0, motion.parts[1].screw.axis, motion.parts[1].screw.pivot,
                 np.array([opening]))[0]  # fmt: skip
    assert np.linalg.norm(last - first) == pytest.approx(np.linalg.norm(there), rel=0.05)
    start, end = axis_ends(points, content["screw"])
    assert (
        axis_error((end - start) / np.linalg.norm(end - start), motion.parts[1].screw.axis) < 0.01
    )
    (tmp_path / "motions.json").write_text("[]")
    with pytest.raises(InputError, match=r"motions\.json"):
        read_motion_summary(tmp_path)
    with pytest.raises(InputError, match=r"part_2\.csv"):
        read_part_motion(tmp_path, 2)


def test_nothing_moves_where_positions_do_not_vary(benchmark):
    with pytest.raises(ValueError, match="did not vary"):
        measure_motion(benchmark.model, benchmark.labels, lambda _: Decoded(None, None), 10)


def test_a_mean_that_was_taken_off_does_not_shorten_angles(benchmark):
    """As decoded displacements lack it: the mean of what turns is not its misfit alone."""
    wide = benchmark.angles * 2.5
    moved = np.zeros_like(benchmark.moved)
    true = benchmark.labels.labels
    for k in range(3):
        own = true == k + 1
        points = benchmark.model.positions[own].astype(float)
        moved[:, own] = turn(points, benchmark.axes[k], benchmark.pivots[k], wide[:, k])
    mean = moved.mean(axis=0)

    def decode(rows):
        return Decoded(None, (moved - mean)[rows])

    def slopes(**options):
        found = measure_motion(benchmark.model, benchmark.labels, decode, PARTICLES, **options)
        return [
            np.polyfit(
                wide[:, part - 1], one.motions.rotation_vectors @ benchmark.axes[part - 1], 1
            )
            for part, one in found.parts.items()
        ]

    right = np.rad2deg([slope for slope, _ in slopes(mean_displacement=mean)])
    np.testing.assert_allclose(right, 1.0, atol=2e-3)
    assert (np.rad2deg([slope for slope, _ in slopes()]) < 0.98).all()
