"""Segments that turn, come and go, or both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoparts.cli.main import main
from cryoparts.errors import InputError
from cryoparts.evaluation.motion_oracle import motion_oracle
from cryoparts.evaluation.oracle import oracle_accuracy
from cryoparts.evaluation.truth import align_truth, load_truth
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import shift_phases, transform
from cryoparts.imaging.projection import project
from cryoparts.io.mrc import open_stack
from cryoparts.io.structure import write_structure
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.simulation.atom_projection import ATOM_WIDTH_ANGSTROM
from cryoparts.simulation.both import simulate_both
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.rigid_motion import Hinges, move_atoms
from cryoparts.simulation.scene_options import BothOptions
from cryoparts.simulation.toy_complex import toy_complex, write_toy_segments

CHAINS = BothOptions(n_segments=3, keep_chains=True, rmsd_angstrom=2.0)


def test_truth_says_which_segments_turn_and_which_come_and_go(tmp_path, blob, imaging):
    options = replace(CHAINS, move=("segment_2",), vanish=("segment_3",))
    folder = simulate_both(blob, tmp_path / "set", replace(imaging, n_particles=60), options)
    truth = load_truth(folder)
    assert truth.kind == "both"
    assert truth.segment_names[truth.moving].tolist() == ["segment_2"]
    assert truth.segment_names[truth.optional_segments].tolist() == ["segment_3"]
    assert truth.presence[:, [0, 1]].all()
    assert 0.3 < truth.presence[:, 2].mean() < 0.7
    assert not truth.angles_degrees[:, [0, 2]].any()
    assert np.ptp(truth.angles_degrees[:, 1]) > 3.0
    motion = truth.motion
    np.testing.assert_array_equal(motion.atom_region, truth.atom_segment == 1)
    np.testing.assert_array_equal(motion.angles_degrees[:, 0], truth.angles_degrees[:, 1])
    hinges = Hinges(motion.axes, motion.pivots)
    before = truth.atom_positions.astype(float)
    moved = [
        np.sqrt(((move_atoms(before, motion.atom_region, hinges, a) - before) ** 2).sum(1).mean())
        for a in motion.angles_degrees
    ]
    assert np.mean(moved) == pytest.approx(2.0, rel=1e-3)


def test_by_default_all_but_the_core_turn_and_come_and_go(tmp_path, blob, imaging):
    options = replace(CHAINS, core="segment_2")
    truth = load_truth(simulate_both(blob, tmp_path / "set", imaging, options))
    assert truth.core == 1
    assert truth.moving.tolist() == truth.vanishing.tolist() == [0, 2]
    turned = align_truth(truth, truth.names[::-1])
    np.testing.assert_array_equal(turned.angles_degrees, truth.angles_degrees[::-1])


def test_each_image_shows_its_own_segments_at_their_own_angles(tmp_path, blob, imaging):
    options = replace(CHAINS, core="segment_2", vanish=("segment_1",))
    folder = simulate_both(blob, tmp_path / "set", replace(imaging, snr=None), options)
    truth, table = load_truth(folder), read_particles(folder / "particles.star")
    images = transform(torch.from_numpy(open_stack(folder / "particles.mrcs").read(np.arange(12))))
    phases = shift_phases(torch.from_numpy(table.poses.shift_angstrom), 32, 4.0)
    ctf = contrast_transfer(table.ctf, 32, 4.0)
    motion = truth.motion
    for row in range(12):
        there = truth.presence[row, truth.atom_segment]
        moved = move_atoms(
            truth.atom_positions,
            motion.atom_region,
            Hinges(motion.axes, motion.pivots),
            motion.angles_degrees[row],
        )[there]
        planes = project(
            torch.as_tensor(moved),
            torch.as_tensor(truth.atom_masses[there], dtype=torch.float64),
            torch.full((len(moved),), ATOM_WIDTH_ANGSTROM, dtype=torch.float64),
            torch.from_numpy(table.poses.rotation[[row]]),
            32,
            4.0,
            method="plane_wave",
        )
        expected = truth.image_scale * planes[0] * phases[row] * ctf[row]
        off = (images[row] - expected)[:12, :-1].abs().square().sum()
        assert float(off) < 1e-4 * float(expected[:12, :-1].abs().square().sum())


def test_told_solvers_find_presence_and_angles(tmp_path):
    segments = tmp_path / "segments.csv"
    write_toy_segments(segments)
    imaging = ImagingOptions(n_particles=64, box_size=48, pixel_size_angstrom=6.0, snr=0.5)
    options = BothOptions(segments_file=segments, move=("lobe_1", "lobe_3"))
    folder = simulate_both(toy_complex(0), tmp_path / "set", imaging, options)
    truth, table = load_truth(folder), read_particles(folder / "particles.star")
    stack = open_stack(folder / "particles.mrcs")
    told = oracle_accuracy(stack.read, truth, table.poses, table.ctf, 48, 6.0)
    assert told.optional_accuracy > 0.97
    assert min(told.area_under_curve.values()) > 0.97
    assert set(told.area_under_curve) == set(truth.segment_names[truth.optional_segments])
    rows = np.arange(64)
    solved = motion_oracle(stack.read, truth, table.poses, table.ctf, 48, 6.0, rows)
    assert set(solved.correlation) == {"lobe_1", "lobe_3"}
    assert min(solved.correlation.values()) > 0.9


@pytest.mark.parametrize("option", ["move", "vanish"])
def test_segments_that_do_not_exist_are_refused(tmp_path, blob, imaging, option):
    options = replace(CHAINS, **{option: ("segment_9",)})
    with pytest.raises(InputError, match=f"--{option}.*segment_9.*They are segment_2, segment_3"):
        simulate_both(blob, tmp_path / "set", imaging, options)
    with pytest.raises(InputError, match="--rmsd: must be positive"):
        BothOptions(rmsd_angstrom=0.0)


def test_the_command_line_makes_them_too(tmp_path, blob):
    write_structure(tmp_path / "blob.cif", blob)
    main(
        [
            *("simulate", "both", str(tmp_path / "blob.cif"), "-o", str(tmp_path / "set")),
            *("--n-segments", "3", "--keep-chains", "--move", "segment_2", "--rmsd", "1"),
            *("--n-particles", "6", "--box-size", "32", "--pixel-size", "4"),
            *("--junk", "0.5", "--preferred-views", "0,0,1:5=0.5", "--consensus"),
        ]
    )
    truth = load_truth(tmp_path / "set")
    assert truth.segment_names[truth.moving].tolist() == ["segment_2"]
    assert (truth.nuisances.junk_kind != "").sum() == 3
    assert (tmp_path / "set" / "consensus_half1.mrc").is_file()
