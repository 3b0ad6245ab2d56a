from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.simulation.acquisition import CTF_KEYS, draw_acquisition, uniform_rotations
from cryoparts.simulation.options import ImagingOptions


def write_poses(path, count, **changes):
    rng = np.random.default_rng(0)
    arrays = {"rotation": uniform_rotations(count, rng)}
    arrays |= {key: rng.uniform(1, 2, count) for key in CTF_KEYS.values()}
    arrays |= changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


def test_orientations_are_uniform():
    rotations = uniform_rotations(20_000, np.random.default_rng(1))
    np.testing.assert_allclose(
        rotations @ np.swapaxes(rotations, 1, 2), np.eye(3)[None].repeat(20_000, 0), atol=1e-9
    )
    # Moments of the Haar measure: no mean, every element of variance 1/3.
    np.testing.assert_allclose(rotations.mean(axis=0), 0.0, atol=0.02)
    np.testing.assert_allclose((rotations**2).mean(axis=0), 1 / 3, atol=0.01)


def test_drawn_values_lie_in_their_ranges_and_halves_are_equal():
    options = ImagingOptions(
        n_particles=501, defocus_range_angstrom=(9000.0, 12000.0), astigmatism_angstrom=400.0
    )
    drawn = draw_acquisition(options, np.random.default_rng(2))
    mean = 0.5 * (drawn.ctf.defocus_u_angstrom + drawn.ctf.defocus_v_angstrom)
    difference = drawn.ctf.defocus_u_angstrom - drawn.ctf.defocus_v_angstrom
    assert 9000.0 <= mean.min() < 9100.0 < 11900.0 < mean.max() <= 12000.0
    assert 0.0 <= difference.min() < 10.0 < 390.0 < difference.max() <= 400.0
    assert np.bincount(drawn.half_set).tolist() == [0, 251, 250]
    assert drawn.poses.shift_angstrom.std() == pytest.approx(6.0, rel=0.1)


def test_particles_of_a_file_come_once_each_with_their_own_ctf(tmp_path):
    path = write_poses(tmp_path / "poses.npz", 40)
    options = ImagingOptions(n_particles=30, poses_file=path)
    drawn = draw_acquisition(options, np.random.default_rng(0))
    with np.load(path) as stored:
        rows = [
            int(np.flatnonzero(np.isclose(stored["rotation"], r).all(axis=(1, 2)))[0])
            for r in drawn.poses.rotation
        ]
        assert rows == sorted(set(rows))
        for field, key in CTF_KEYS.items():
            np.testing.assert_array_equal(getattr(drawn.ctf, field), stored[key][rows])
    everything = draw_acquisition(replace(options, n_particles=40), np.random.default_rng(0))
    assert len(everything.poses) == 40


def test_a_file_without_ctf_gets_drawn_ones(tmp_path):
    path = write_poses(tmp_path / "p.npz", 9, **dict.fromkeys(CTF_KEYS.values()))
    drawn = draw_acquisition(
        ImagingOptions(n_particles=9, poses_file=path), np.random.default_rng(0)
    )
    assert (drawn.ctf.defocus_u_angstrom > 7000.0).all()


@pytest.mark.parametrize(
    ("count", "changes", "words"),
    [
        (5, {}, "holds 5 particles, 9 are asked for"),
        (9, {"rotation": None}, "rotation matrices"),
        (9, {"rotation": np.zeros((9, 3, 3))}, "rotation matrices"),
        (9, {"rotation": np.tile(np.diag([1.0, 1.0, -1.0]), (9, 1, 1))}, "rotation matrices"),
        (9, {"cs_mm": None}, "cs_mm"),
        (9, {"voltage_kv": np.full(9, np.nan)}, "voltage_kv"),
        (9, {"voltage_kv": np.ones(8)}, "voltage_kv"),
    ],
)
def test_bad_files_of_poses_are_refused(tmp_path, count, changes, words):
    path = write_poses(tmp_path / "poses.npz", count, **changes)
    with pytest.raises(InputError, match=words) as caught:
        draw_acquisition(ImagingOptions(n_particles=9, poses_file=path), np.random.default_rng(0))
    assert "poses.npz" in caught.value.where


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    path = tmp_path / "poses.npz"
    path.write_text("no poses", encoding="utf-8")
    with pytest.raises(InputError, match=r"not an .npz"):
        draw_acquisition(ImagingOptions(n_particles=9, poses_file=path), np.random.default_rng(0))
