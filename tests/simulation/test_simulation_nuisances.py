"""Each nuisance does what its option says, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cryoparts.errors import InputError
from cryoparts.evaluation.truth import align_truth, load_truth
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import shift_phases, transform
from cryoparts.imaging.projection import project
from cryoparts.io.mrc import open_stack, read_map, write_map
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.pipeline.simulation import write_consensus
from cryoparts.simulation.acquisition import draw_acquisition
from cryoparts.simulation.atom_projection import ATOM_WIDTH_ANGSTROM
from cryoparts.simulation.composition import simulate_composition
from cryoparts.simulation.maps import simulate_maps
from cryoparts.simulation.motion import simulate_motion
from cryoparts.simulation.nuisances.draw import disturb
from cryoparts.simulation.nuisances.options import JUNK_KINDS, Nuisances
from cryoparts.simulation.nuisances.views import View, von_mises_fisher
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import CompositionOptions, MotionOptions

THREE = CompositionOptions(n_segments=3, keep_chains=True)


def drawn(count=4000, **options):
    """What is drawn for `count` particles."""
    imaging = ImagingOptions(n_particles=count)
    acquisition = draw_acquisition(imaging, np.random.default_rng(1))
    nuisances = Nuisances(**options)
    return acquisition, disturb(acquisition, imaging, nuisances, np.random.default_rng(2))


def angles_between(first, second):
    trace = np.einsum("pij,pij->p", first, second)
    return np.rad2deg(np.arccos(np.clip(0.5 * (trace - 1.0), -1.0, 1.0)))


def stack(folder, count):
    return open_stack(folder / "particles.mrcs").read(np.arange(count))


@pytest.fixture
def simulated(tmp_path, blob, imaging):
    """Simulates the three-segment blob; images are kept apart by the nuisances alone."""

    def simulate(name, snr=None, count=40, kind="composition", finish=None, **options):
        chosen = replace(imaging, snr=snr, n_particles=count)
        nuisances = Nuisances(**options) if options else None
        arguments = (blob, tmp_path / name, chosen)
        if kind == "motion":
            return simulate_motion(*arguments, MotionOptions(), None, nuisances, finish)
        return simulate_composition(*arguments, THREE, None, nuisances, finish)

    return simulate


@pytest.mark.parametrize("kind", ["composition", "motion"])
def test_with_everything_off_nothing_is_different(simulated, kind):
    plain = simulated("plain", snr=0.1, kind=kind)
    off = simulated("off", snr=0.1, kind=kind, junk=0.0, junk_kinds=("ice",))
    np.testing.assert_array_equal(stack(plain, 40), stack(off, 40))
    for file in ("particles.star", "truth.npz"):
        assert (plain / file).read_bytes() == (off / file).read_bytes()
    truth = load_truth(plain)
    assert truth.nuisances is None
    assert truth.good.all()


def test_errors_of_poses_and_defocus_have_the_size_asked_for():
    acquisition, wrong = drawn(
        pose_error_degrees=2.0, shift_error_angstrom=1.5, defocus_error_angstrom=300.0
    )
    np.testing.assert_array_equal(wrong.true_poses.rotation, acquisition.poses.rotation)
    off = angles_between(wrong.given_poses.rotation, wrong.true_poses.rotation)
    assert np.sqrt(np.mean(off**2)) == pytest.approx(2.0, rel=0.03)
    move = wrong.given_poses.shift_angstrom - wrong.true_poses.shift_angstrom
    assert np.sqrt((move**2).sum(axis=1).mean()) == pytest.approx(1.5, rel=0.03)
    defocus = wrong.given_ctf.defocus_u_angstrom - wrong.true_ctf.defocus_u_angstrom
    assert defocus.std() == pytest.approx(300.0, rel=0.05)
    true, given = (
        c.defocus_u_angstrom - c.defocus_v_angstrom for c in (wrong.true_ctf, wrong.given_ctf)
    )
    np.testing.assert_allclose(given, true, atol=1e-6)


def test_shares_of_junk_its_kinds_and_lost_poses_are_exact():
    _, wrong = drawn(
        2000, junk=0.15, junk_kinds=("ice", "noise"), junk_weights=(2.0, 1.0), lost_poses=0.05
    )
    kinds, counts = np.unique(wrong.junk_kind, return_counts=True)
    assert dict(zip(kinds.tolist(), counts.tolist(), strict=True)) == {
        "": 1700,
        "ice": 200,
        "noise": 100,
    }
    assert wrong.lost.sum() == 100
    assert not (wrong.lost & wrong.is_junk).any()
    off = angles_between(wrong.given_poses.rotation, wrong.true_poses.rotation)
    assert (off[~wrong.lost] < 1e-4).all()
    # of uniform rotations: the density of the angle is (1 - cos) / pi
    assert off[wrong.lost].mean() == pytest.approx(126.5, abs=12.0)


def test_one_nuisance_changes_nothing_in_the_others():
    _, alone = drawn(500, pose_error_degrees=2.0)
    _, together = drawn(500, pose_error_degrees=2.0, junk=0.2, scale_spread=0.3)
    np.testing.assert_array_equal(alone.given_poses.rotation, together.given_poses.rotation)
    np.testing.assert_array_equal(alone.true_poses.rotation, together.true_poses.rotation)


def test_scale_b_factor_and_background_are_in_the_truth_and_not_in_the_table(simulated):
    folder = simulated("set", scale_spread=0.3, largest_b_factor=200.0, background_gradient=0.5)
    truth, table = load_truth(folder).nuisances, read_particles(folder / "particles.star")
    assert truth.scale.std() > 0.15
    assert (truth.scale >= 0.1).all()
    assert 0.0 <= truth.b_factor.min() < truth.b_factor.max() <= 200.0
    np.testing.assert_array_equal(table.ctf.scale, 1.0)
    np.testing.assert_array_equal(table.ctf.b_factor, 0.0)


def test_the_scale_multiplies_the_particle_and_the_background_is_a_plane(simulated):
    plain, scaled = stack(simulated("a"), 40), simulated("b", scale_spread=0.3)
    truth = load_truth(scaled)
    ratio = np.einsum("pij,pij->p", stack(scaled, 40), plain) / np.einsum(
        "pij,pij->p", plain, plain
    )
    common = ratio.mean() / truth.nuisances.scale.mean()
    np.testing.assert_allclose(ratio, common * truth.nuisances.scale, rtol=1e-3)
    sloping = simulated("c", background_gradient=2.0)
    rise = stack(sloping, 40) - plain
    slope = load_truth(sloping).nuisances.background
    along_x = (rise[:, :, -1] - rise[:, :, 0]).mean(axis=1) * 32 / 31
    along_y = (rise[:, -1] - rise[:, 0]).mean(axis=1) * 32 / 31
    np.testing.assert_allclose(np.stack([along_x, along_y], axis=1), slope, atol=1e-3)


def test_a_magnified_molecule_is_larger_about_the_given_centre(simulated):
    folder = simulated("set", count=6, magnification_error=0.2)
    truth, table = load_truth(folder), read_particles(folder / "particles.star")
    assert (truth.nuisances.magnification == 1.2).all()
    images = transform(torch.from_numpy(stack(folder, 6)))
    phases = shift_phases(torch.from_numpy(table.poses.shift_angstrom), 32, 4.0)
    ctf = contrast_transfer(table.ctf, 32, 4.0)
    for row in range(6):
        there = truth.presence[row, truth.atom_segment]
        larger = project(
            torch.as_tensor(1.2 * truth.atom_positions[there], dtype=torch.float64),
            torch.as_tensor(truth.atom_masses[there], dtype=torch.float64),
            torch.full((int(there.sum()),), 1.2 * ATOM_WIDTH_ANGSTROM, dtype=torch.float64),
            torch.from_numpy(table.poses.rotation[[row]]),
            32,
            4.0,
            method="plane_wave",
        )
        expected = truth.image_scale * larger[0] * phases[row] * ctf[row]
        off = (images[row] - expected)[:12, :-1].abs().square().sum()
        assert float(off) < 1e-4 * float(expected[:12, :-1].abs().square().sum())


def test_junk_is_junk_and_the_others_are_as_without(simulated):
    count = 140
    plain, folder = simulated("a", count=count), simulated("b", count=count, junk=0.5)
    truth = load_truth(folder)
    kind = truth.nuisances.junk_kind
    assert set(kind) == {"", *JUNK_KINDS}
    clean, mixed = stack(plain, count), stack(folder, count)
    good = kind == ""
    factor = (mixed[good] * clean[good]).sum() / (clean[good] ** 2).sum()
    np.testing.assert_allclose(mixed[good], factor * clean[good], atol=1e-4)
    assert mixed[good].var(axis=(1, 2)).mean() == pytest.approx(1.0, rel=1e-3)

    def likeness(of):
        """Correlation with the image that the particle would have."""
        a, b = mixed[kind == of], clean[kind == of]
        return np.array(
            [np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a, b, strict=True)]
        )

    assert not mixed[kind == "noise"].any()
    assert likeness("broken").mean() > 0.4
    for of in ("ice", "edge", "neighbour", "off-centre", "other"):
        assert (mixed[kind == of].std(axis=(1, 2)) > 0.05).all(), of
        assert np.abs(likeness(of)).mean() < 0.45, of


def test_junk_is_drawn_from_maps_too(tmp_path):
    values = np.zeros((16, 16, 16))
    values[5:11, 4:12, 5:10] = 1.0
    paths = [tmp_path / f"{n}.mrc" for n in "ab"]
    for path, factor in zip(paths, (1.0, 2.0), strict=True):
        write_map(path, factor * values, 6.0)
    imaging = ImagingOptions(n_particles=56, box_size=16, pixel_size_angstrom=6.0, snr=None)
    folder = simulate_maps(paths, tmp_path / "set", imaging, nuisances=Nuisances(junk=0.5))
    junk = load_truth(folder).nuisances.junk_kind
    spread = stack(folder, 56).std(axis=(1, 2))
    assert (spread[(junk != "noise")] > 0.0).all()
    assert not spread[junk == "noise"].any()


def test_preferred_views_have_the_density_asked_for():
    _, wrong = drawn(6000, preferred_views=("0,0,2:10=0.4", "1,0,0:0=0.2"))
    view = wrong.view
    assert [float((view == n).mean()) for n in (-1, 0, 1)] == pytest.approx(
        [0.4, 0.4, 0.2], abs=0.02
    )
    beam = wrong.true_poses.rotation[:, 2]
    np.testing.assert_allclose(
        wrong.true_poses.rotation @ np.swapaxes(wrong.true_poses.rotation, 1, 2),
        np.broadcast_to(np.eye(3), (6000, 3, 3)),
        atol=1e-9,
    )
    assert (np.linalg.det(wrong.true_poses.rotation) > 0.0).all()
    # <cos> of a von Mises-Fisher density is coth(kappa) - 1 / kappa
    assert beam[view == 0, 2].mean() == pytest.approx(1 / np.tanh(10) - 0.1, abs=0.01)
    assert np.abs(beam[view == 1].mean(axis=0)).max() < 0.06
    assert np.abs(beam[view == -1].mean(axis=0)).max() < 0.05


def test_a_concentrated_view_looks_one_way():
    vectors = von_mises_fisher(View((0.0, 0.6, 0.8), 1e6, 1.0), 200, np.random.default_rng(0))
    np.testing.assert_allclose(vectors, np.tile([0.0, 0.6, 0.8], (200, 1)), atol=0.01)


def test_optics_groups_have_their_own_microscope(simulated):
    texts = ("share=0.5,voltage_kv=200,amplitude_contrast=0.07,defocus=5000:6000",)
    folder = simulated("set", snr=0.1, optics_groups=texts)
    table, truth = read_particles(folder / "particles.star"), load_truth(folder)
    second = truth.nuisances.optics_group == 2
    assert 8 <= second.sum() <= 32
    np.testing.assert_array_equal(table.ctf.voltage_kv, np.where(second, 200.0, 300.0))
    np.testing.assert_allclose(table.ctf.amplitude_contrast, np.where(second, 0.07, 0.1))
    assert (table.ctf.defocus_u_angstrom[second] < 6200.0).all()
    assert (table.ctf.defocus_u_angstrom[~second] > 7000.0).all()
    np.testing.assert_array_equal(table.optics_group, truth.nuisances.optics_group)


def test_the_consensus_map_is_of_the_given_poses(simulated):
    right = simulated("right", snr=5.0, count=120, finish=write_consensus)
    lost = simulated("lost", snr=5.0, count=120, finish=write_consensus, lost_poses=0.9)
    maps = [read_map(f / "consensus.mrc") for f in (right, lost)]
    assert maps[0].density.shape == (32, 32, 32)
    assert maps[0].voxel_size == pytest.approx(4.0)
    halves = [
        np.corrcoef(*(read_map(f / f"consensus_half{n}.mrc").density.ravel() for n in (1, 2)))[0, 1]
        for f in (right, lost)
    ]
    assert halves[0] > 0.5
    assert halves[1] < halves[0]
    # protein is bright and where the atoms are
    density = maps[0].density
    truth = load_truth(right)
    where = np.rint(truth.atom_positions[:, ::-1] / 4.0).astype(int) + 16
    assert density[tuple(where.T)].mean() > 5.0 * density.mean()
    assert not list(right.parent.glob(".*partial*"))


def test_truth_is_joined_by_name_with_its_nuisances(simulated):
    truth = load_truth(simulated("set", junk=0.5, lost_poses=0.1))
    turned = align_truth(truth, truth.names[::-1])
    np.testing.assert_array_equal(turned.nuisances.junk_kind, truth.nuisances.junk_kind[::-1])
    np.testing.assert_array_equal(turned.good, truth.good[::-1])
    assert truth.good.sum() == 40 - 20 - 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"junk": 1.0}, "--junk: must be from 0"),
        ({"junk": 0.6, "lost_poses": 0.5}, "--lost-poses: must be below 1 together"),
        ({"junk_kinds": ("dust",)}, "--junk-kinds: must be one or more of noise, ice"),
        ({"junk_weights": (1.0,)}, "--junk-weights: must be one number"),
        ({"pose_error_degrees": -1.0}, "--pose-error-degrees: must be at least 0"),
        ({"magnification_error": 0.9}, "--magnification-error"),
    ],
)
def test_impossible_nuisances_are_named(options, words):
    with pytest.raises(InputError, match=words):
        Nuisances(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preferred_views": ("0,0,1",)}, "cannot be read"),
        ({"preferred_views": ("0,0,0:1=0.5",)}, "direction"),
        ({"preferred_views": ("0,0,1:1=0.6", "1,0,0:1=0.6")}, "more than 1"),
        ({"optics_groups": ("voltage_kv=200",)}, "no share"),
        ({"optics_groups": ("share=0.5,colour=1",)}, "unknown key 'colour'"),
        ({"optics_groups": ("share=0.5,voltage_kv=x",)}, "no number"),
        ({"optics_groups": ("share=0.5,voltage_kv=-1",)}, "positive"),
        ({"optics_groups": ("share=0.5", "share=0.5")}, "first group"),
    ],
)
def test_texts_that_cannot_be_read_are_named(options, words):
    with pytest.raises(InputError, match=words):
        drawn(10, **options)
