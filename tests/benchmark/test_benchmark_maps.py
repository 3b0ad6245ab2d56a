"""`cryoparts benchmark maps` on two balls: tables, records, and the truth that they lean on."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from cryoparts.benchmark.maps.cases import read_maps_benchmark
from cryoparts.benchmark.maps.measure import case_folder
from cryoparts.cli.main import main
from cryoparts.errors import InputError
from cryoparts.evaluation.maps.rest_accuracy import RegionAccuracy, RestStructure, model_fsc
from cryoparts.evaluation.maps.rest_oracle import true_bodies, true_regions
from cryoparts.evaluation.truth import load_truth
from cryoparts.io.structure import write_structure
from resting_run import BOX, PIXEL, make_resting_run, two_balls, write_true_motion

FILE = Path(__file__).parents[2] / "benchmarks" / "maps.yaml"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A benchmark of one case whose parts are given; its run is trained for one epoch."""
    root = tmp_path_factory.mktemp("maps")
    write_structure(root / "balls.cif", two_balls())
    (root / "regions.csv").write_text(
        "chain,region,axis_x,axis_y,axis_z,pivot_x,pivot_y,pivot_z\nB,arm,0,0.6,0.8,-5,0,0\n"
    )
    plain = {
        "kind": "maps",
        "structure": "balls.cif",
        "imaging": {"n_particles": 96, "box_size": 32, "pixel_size_angstrom": 5.0, "snr": 0.3},
        "preprocessing": {"box_size": 32},
        "gaussians": {"n_gaussians": 60},
        "training": {"vary": ["position"], "epochs": 1, "threads": 1, "latent_dimensions": 2},
        "cases": [
            {
                "name": "arm",
                "simulation": {"regions_file": "regions.csv", "rmsd_angstrom": 3.5},
                "parts": "given",
            }
        ],
    }
    (root / "maps.yaml").write_text(yaml.safe_dump(plain))
    main(["benchmark", "maps", "--config", str(root / "maps.yaml"), "-o", str(root / "out")])
    return root


def test_tables_and_records(folder):
    out = folder / "out"
    with (out / "maps.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["region"] for row in rows] == ["still", "arm"]
    record = json.loads((out / "maps.json").read_text())["records"][0]
    assert record["particles"] == 96
    arm = record["against_the_truth"][1]
    assert set(arm["frequency_per_angstrom"]) == {"consensus", "at_rest", "oracle"}
    assert arm["area_shells"]["oracle"] > arm["area_shells"]["consensus"]
    assert [one["region"] for one in record["half_maps"]] == ["core", "part_1"]
    text = (out / "maps.md").read_text()
    assert "| arm | still |" in text
    assert "cores" in text


def test_a_case_that_is_there_is_not_made_again(folder, capsys):
    benchmark = read_maps_benchmark(folder / "maps.yaml")
    record = case_folder(folder / "out", benchmark.cases[0], 1) / "maps.json"
    before = record.stat().st_mtime_ns
    main(["benchmark", "maps", "--config", str(folder / "maps.yaml"), "-o", str(folder / "out")])
    assert record.stat().st_mtime_ns == before
    assert "arm" in capsys.readouterr().out


def test_the_files_of_the_repository_are_read():
    benchmark = read_maps_benchmark(FILE)
    assert {case.kind for case in benchmark.cases} == {"motion", "bend"}
    assert benchmark.chosen(("noise",), (3,), 64).imaging_options(benchmark.cases[0], 3).snr > 0
    with pytest.raises(InputError, match="no case"):
        benchmark.chosen(("other",), (), None)


def test_what_is_no_benchmark_is_said(tmp_path):
    (tmp_path / "x.yaml").write_text("kind: motion\n")
    with pytest.raises(InputError, match="kind must be maps"):
        read_maps_benchmark(tmp_path / "x.yaml")


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    run = make_resting_run(tmp_path_factory.mktemp("truth") / "made")
    data = Path(run.config.particles).parent
    write_true_motion(run, data)
    return run, load_truth(data)


def test_the_oracle_is_told_the_true_motion(truth):
    from cryoparts.at_rest.run_bodies import run_bodies

    run, told = truth
    (oracle,), (of_run,) = true_bodies(run.model, told), run_bodies(run)
    np.testing.assert_array_equal(oracle.members, of_run.members)
    # the run's motions are from the middle of the way, the oracle's from the true rest: what lies
    # between the two is the same in every particle
    back = of_run.motion.rotation.swapaxes(1, 2)
    turn = back @ oracle.motion.rotation
    apart = oracle.motion.offset_angstrom - of_run.motion.offset_angstrom
    shift = np.einsum("pij,pj->pi", back, apart)
    np.testing.assert_allclose(turn, turn[:1].repeat(len(turn), 0), atol=1e-5)
    np.testing.assert_allclose(shift, shift[:1].repeat(len(shift), 0), atol=1e-3)
    assert np.rad2deg(np.arccos((np.trace(turn[0]) - 1) / 2)) < 5
    assert set(true_regions(run.model, told)) == {0, 1}


def test_the_true_density_agrees_with_itself_alone(truth):
    _, told = truth
    rest = RestStructure.of(told, BOX, PIXEL)
    assert list(rest.masks) == ["still", "arm"]
    assert model_fsc(rest.density, rest, "arm")[1:].min() == pytest.approx(1.0, abs=1e-5)
    noise = np.random.default_rng(0).normal(size=rest.density.shape).astype(np.float32)
    assert np.abs(model_fsc(noise, rest, "arm")[8:]).mean() < 0.25


def test_the_share_of_the_way():
    found = RegionAccuracy("arm", {"consensus": 0.1, "at_rest": 0.17, "oracle": 0.2}, {})
    assert found.share_of_the_way("at_rest") == pytest.approx(0.7)
    same = RegionAccuracy("arm", dict.fromkeys(("consensus", "at_rest", "oracle"), 0.1), {})
    assert np.isnan(same.share_of_the_way("at_rest"))
