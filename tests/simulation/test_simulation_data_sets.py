"""The folders that the three simulations write."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.evaluation.truth import load_truth
from cryoparts.io.atomic_models import read_structure
from cryoparts.io.mrc import open_stack, read_map, write_map
from cryoparts.io.structure import write_structure
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.simulation.composition import simulate_composition
from cryoparts.simulation.maps import simulate_maps
from cryoparts.simulation.motion import simulate_motion
from cryoparts.simulation.scene_options import CompositionOptions, MapsOptions, MotionOptions

THREE = CompositionOptions(n_segments=3, keep_chains=True)


@pytest.fixture
def maps(tmp_path):
    rng = np.random.default_rng(0)
    paths = []
    for number in range(3):
        values = np.zeros((16, 16, 16))
        values[5:11, 5:11, 5:11] = rng.random((6, 6, 6)) + number
        paths.append(tmp_path / f"map_{number}.mrc")
        write_map(paths[-1], values, 6.0)
    return paths


def test_composition_writes_a_complete_folder(tmp_path, blob, imaging):
    write_structure(tmp_path / "blob.cif", blob)
    steps = []
    folder = simulate_composition(
        tmp_path / "blob.cif",
        tmp_path / "set",
        imaging,
        THREE,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert sorted(p.name for p in folder.iterdir()) == [
        "model.cif",
        "particles.mrcs",
        "particles.star",
        "truth.npz",
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["blob.cif", "set"]
    table, truth = read_particles(folder / "particles.star"), load_truth(folder)
    np.testing.assert_array_equal(table.names, truth.names)
    assert set(table.half_set) == {1, 2}
    assert table.pixel_size_angstrom[0] == pytest.approx(4.0)
    stack = open_stack(folder / "particles.mrcs")
    assert (len(stack), stack.box_size) == (12, 32)
    assert truth.presence.shape == (12, 3)
    assert truth.presence[:, truth.core].all()
    assert 0 < truth.presence[:, truth.optional_segments].mean() < 1
    assert steps[-1] == (24, 24)
    model = read_structure(folder / "model.cif")
    np.testing.assert_allclose(model.positions, truth.atom_positions, atol=1e-3)
    centre = np.average(truth.atom_positions, axis=0, weights=truth.atom_masses)
    np.testing.assert_allclose(centre, 0.0, atol=1e-3)


def test_the_core_can_be_named_and_a_table_given(tmp_path, blob, imaging):
    table = tmp_path / "segments.csv"
    table.write_text("chain,segment\nA,x\nB,y\nC,z\n", encoding="utf-8")
    options = CompositionOptions(segments_file=table, core="y", probability=0.0)
    truth = load_truth(simulate_composition(blob, tmp_path / "set", imaging, options))
    assert truth.segment_names.tolist() == ["x", "y", "z"]
    assert truth.presence.tolist() == [[False, True, False]] * 12
    np.testing.assert_array_equal(truth.atom_segment, np.repeat([0, 1, 2], 120))
    with pytest.raises(InputError, match=r"--core.*segments are x, y, z"):
        simulate_composition(blob, tmp_path / "b", imaging, replace(options, core="w"))
    table.write_text("chain,segment\nA,x\nB,y\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"leaves out 120 atoms.*chain C"):
        simulate_composition(blob, tmp_path / "b", imaging, options)
    assert not (tmp_path / "b").exists()


def test_motion_writes_the_regions_and_their_angles(tmp_path, blob, imaging):
    table = tmp_path / "regions.csv"
    table.write_text(
        "chain,region,axis_x,axis_y,axis_z,pivot_x,pivot_y,pivot_z\n"
        "B,arm,0,0,2,1,2,3\nC,leg,,,,,,\n",
        encoding="utf-8",
    )
    centre = (1.0, 0.5, -1.0)
    options = MotionOptions(regions_file=table, centre=centre)
    folder = simulate_motion(blob, tmp_path / "set", imaging, options)
    truth = load_truth(folder)
    assert truth.region_names.tolist() == ["arm", "leg"]
    np.testing.assert_array_equal(truth.atom_region, np.repeat([0, 1, 2], 120))
    np.testing.assert_allclose(truth.axes[0], [0.0, 0.0, 1.0])
    np.testing.assert_allclose(truth.pivots[0], [0.0, 1.5, 4.0])
    np.testing.assert_allclose(np.linalg.norm(truth.axes, axis=1), 1.0)
    assert truth.angles_degrees.shape == (12, 2)
    assert np.abs(np.corrcoef(truth.angles_degrees.T)[0, 1]) < 0.9
    # The pivot not given lies where the leg touches the rest, off its centroid.
    leg = truth.atom_positions[truth.atom_region == 2]
    rest = truth.atom_positions[truth.atom_region != 2]
    distances = [
        np.linalg.norm(rest - p, axis=1).min() for p in (truth.pivots[1], leg.mean(axis=0))
    ]
    assert distances[0] < distances[1]


@pytest.mark.parametrize(
    ("row", "words"),
    [("0,0,0,,,", "no direction"), ("1,0,,,,", "three numbers"), ("1,0,x,,,", "three numbers")],
)
def test_bad_axes_are_refused(tmp_path, blob, imaging, row, words):
    table = tmp_path / "regions.csv"
    table.write_text(
        f"chain,region,axis_x,axis_y,axis_z,pivot_x,pivot_y,pivot_z\nB,arm,{row}\n",
        encoding="utf-8",
    )
    with pytest.raises(InputError, match=f"region arm.*{words}"):
        simulate_motion(blob, tmp_path / "s", imaging, MotionOptions(regions_file=table))


def test_a_motion_that_no_rotation_reaches_is_refused(tmp_path, blob, imaging):
    with pytest.raises(InputError, match=r"--rmsd.*at most"):
        simulate_motion(blob, tmp_path / "s", imaging, MotionOptions(rmsd_angstrom=60.0))


def test_maps_are_drawn_as_often_as_weighted(tmp_path, maps, imaging):
    imaging = replace(imaging, n_particles=300, box_size=16, pixel_size_angstrom=6.0)
    options = MapsOptions(weights=(1.0, 0.0, 3.0))
    folder = simulate_maps(maps, tmp_path / "set", imaging, options)
    truth = load_truth(folder)
    counts = np.bincount(truth.map_index, minlength=3)
    assert counts[1] == 0
    assert counts[2] / 300 == pytest.approx(0.75, abs=0.08)
    assert truth.map_names.tolist() == ["map_0.mrc", "map_1.mrc", "map_2.mrc"]
    mean = 0.25 * read_map(maps[0]).density + 0.75 * read_map(maps[2]).density
    np.testing.assert_allclose(read_map(folder / "model.mrc").density, mean, atol=1e-5)


def test_maps_that_do_not_fit_are_refused(tmp_path, maps, imaging):
    fitting = replace(imaging, box_size=16, pixel_size_angstrom=6.0)
    other = tmp_path / "other.mrc"
    write_map(other, np.ones((16, 16, 16)), 6.1)
    with pytest.raises(InputError, match=r"other.mrc.*6.1 Å"):
        simulate_maps([*maps, other], tmp_path / "s", fitting)
    write_map(other, np.ones((16, 16, 12)), 6.0)
    with pytest.raises(InputError, match="cube"):
        simulate_maps([other], tmp_path / "s", fitting)
    with pytest.raises(InputError, match=r"96.0 Å across.*80.0 Å"):
        simulate_maps(maps, tmp_path / "s", replace(fitting, pixel_size_angstrom=5.0))
    with pytest.raises(InputError, match="each of the 3 maps, got 1"):
        simulate_maps(maps, tmp_path / "s", fitting, MapsOptions(weights=(1.0,)))
    with pytest.raises(InputError, match="none is given"):
        simulate_maps([], tmp_path / "s", fitting)
    assert not (tmp_path / "s").exists()


def test_an_existing_folder_is_left_alone(tmp_path, blob, imaging):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").write_text("keep", encoding="utf-8")
    with pytest.raises(InputError, match="exists already"):
        simulate_composition(blob, tmp_path / "set", imaging, THREE)
    assert [p.name for p in (tmp_path / "set").iterdir()] == ["mine.txt"]


def test_a_molecule_larger_than_the_box_is_refused_and_nothing_is_left(tmp_path, blob, imaging):
    with pytest.raises(InputError, match=r"16 pixels of 2 Å only 16.0 Å"):
        simulate_composition(
            blob,
            tmp_path / "set",
            replace(imaging, box_size=16, pixel_size_angstrom=2.0),
            THREE,
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["composition", "motion"])
def test_the_same_seed_gives_identical_files_and_another_does_not(tmp_path, blob, imaging, kind):
    def simulate(name, seed):
        options = replace(imaging, seed=seed)
        if kind == "composition":
            return simulate_composition(blob, tmp_path / name, options, THREE)
        return simulate_motion(blob, tmp_path / name, options, MotionOptions())

    first, again, other = simulate("first", 7), simulate("again", 7), simulate("other", 8)
    for file in ("particles.mrcs", "particles.star", "model.cif", "truth.npz"):
        if file == "particles.mrcs":  # the header's label holds the time of writing
            a, b, c = (open_stack(f / file).read(np.arange(12)) for f in (first, again, other))
            np.testing.assert_array_equal(a, b)
            assert not np.array_equal(a, c)
        else:
            assert (first / file).read_bytes() == (again / file).read_bytes()
    assert (first / "particles.star").read_bytes() != (other / "particles.star").read_bytes()
