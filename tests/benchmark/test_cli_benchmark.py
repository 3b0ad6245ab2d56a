"""The benchmark verb: its options, its folder, and one small benchmark from end to end."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from cryoparts.benchmark.config import (
    BenchmarkOptions,
    nuisances_of,
    overruled,
    read_benchmark,
    simulation_options,
)
from cryoparts.benchmark.data import data_sets, find_files, map_knowledge
from cryoparts.cli.main import main
from cryoparts.errors import InputError

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

TOY = {
    "kind": "composition",
    "structure": "toy",
    "seeds": [3],
    "decoders": ["mlp"],
    "steps": "quick",
    "oracle_particles": 16,
    "imaging": {"n_particles": 48, "box_size": 32, "pixel_size_angstrom": 8.0},
    "gaussians": {"n_gaussians": 60},
    "training": {"vary": ["amplitude"], "epochs": 1, "batch_size": 16, "latent_dimensions": 2,
                 "threads": 1},
    "parts": {"embedding": "pca"},
}  # fmt: skip


LADDER = {
    "kind": "realistic",
    **{name: TOY[name] for name in ("seeds", "decoders", "steps", "oracle_particles", "parts")},
    "rungs": {"all": {"model": "consensus", "junk": 0.2, "lost_poses": 0.1, "scale_spread": 0.3}},
    "gaussians": TOY["gaussians"],
    "training": {name: value for name, value in TOY["training"].items() if name != "vary"},
    "both": {
        "structure": "toy",
        "imaging": TOY["imaging"] | {"n_particles": 64},
        "simulation": {"move": ["lobe_1", "lobe_3"], "vanish": ["lobe_1", "lobe_2"]},
    },
}


@pytest.mark.parametrize(
    ("text", "value"), [("5e-4", 5e-4), ("0.0005", 5e-4), ("1E-3", 1e-3), ("null", None)]
)
def test_a_number_is_a_number_however_it_is_written(tmp_path, text, value):
    path = tmp_path / "toy.yaml"
    path.write_text(yaml.safe_dump(TOY), encoding="utf-8")
    config = read_benchmark(path, "composition")
    changed = overruled(config, BenchmarkOptions(set=(f"training.learning_rate={text}",)))
    assert changed.sections["training"]["learning_rate"] == value
    with pytest.raises(InputError, match="wrong kind"):
        overruled(config, BenchmarkOptions(set=("training.learning_rate=fast",)))


def call(*arguments: object) -> int:
    """Exit code of the program."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


def written(folder: Path, **changed: object) -> Path:
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(TOY | changed))
    return path


@pytest.mark.parametrize("kind", ["composition", "motion", "both", "assembly"])
def test_every_shipped_benchmark_can_be_read(kind):
    config = read_benchmark(BENCHMARKS / f"{kind}.yaml", kind)
    assert len(data_sets(config)) >= len(config.seeds) >= 3
    options = simulation_options(config, BENCHMARKS)
    table = getattr(options, "regions_file", None)
    assert table is None or table.is_file()


@pytest.mark.parametrize("kind", ["composition", "motion", "both"])
def test_the_ladder_differs_from_the_ideal_in_one_thing_a_rung(kind):
    config = read_benchmark(BENCHMARKS / "realistic.yaml", kind)
    assert config.kind == kind
    assert "training" not in config.sections  # the program's defaults
    assert not nuisances_of(config.rungs["ideal"]).any
    single = ("map", "poses", "junk", "lost", "scale", "defocus")
    everything = config.rungs["all"]
    assert everything.model == config.rungs["map"].model == "consensus"
    together: dict = {}
    for name in single:
        together |= config.rungs[name].nuisances
    assert everything.nuisances == together
    lower = [rung for name, rung in config.rungs.items() if name.startswith("all_")]
    assert [rung.snr for rung in lower] == [0.05, 0.03, 0.01]
    assert all(rung.nuisances == together for rung in lower)
    names = [d.name for d in data_sets(config)]
    assert len(names) == len(set(names)) == 3 * len(config.rungs)
    assert config.imaging_options(0.01, 1, None, "all_snr_0.01").n_particles == 50_000
    chosen = overruled(config, BenchmarkOptions(rungs=("ideal", "junk"), seeds=(1,)))
    assert [d.kind.rung for d in data_sets(chosen)] == ["ideal", "junk"]
    with pytest.raises(InputError, match="no rung 'dust'"):
        overruled(config, BenchmarkOptions(rungs=("dust",)))


def test_a_rung_that_cannot_be_is_refused(tmp_path):
    def read(rung):
        path = tmp_path / "ladder.yaml"
        path.write_text(yaml.safe_dump(LADDER | {"rungs": {"one": rung}}))
        return read_benchmark(path, "both")

    assert read({"junk": 0.1}).rungs["one"].nuisances == {"junk": 0.1}
    for rung, words in (
        ({"dust": 1}, "dust"),
        ({"junk": 2.0}, "--junk"),
        ({"model": "x"}, "atoms"),
    ):
        with pytest.raises(InputError, match=words):
            read(rung)
    with pytest.raises(InputError, match="'motion'"):
        path = tmp_path / "ladder.yaml"
        read_benchmark(path, "motion")


def test_a_ladder_from_simulation_to_its_table(tmp_path):
    path, out = tmp_path / "ladder.yaml", tmp_path / "out"
    path.write_text(yaml.safe_dump(LADDER))
    command = ("benchmark", "realistic", "--of", "both", "--config", path, "-o", out)
    assert call(*command) == 0
    (run,) = json.loads((out / "results.json").read_text())["runs"]
    assert run["data"]["rung"] == "all"
    particles = run["details"]["evaluation"]["particles"]
    assert particles == {"good": 64 - 13 - 6, "all": 64}
    assert (out / "data" / "all_snr0.1_seed3" / "consensus_half2.mrc").is_file()
    values, told = run["values"], run["references"]["oracle"]
    assert 0.0 <= values["area_minimum"] <= values["area_mean"] <= 1.0
    assert told["rmsd_angstrom"] < run["references"]["no motion"]["rmsd_angstrom"]
    assert told["area_mean"] > 0.7
    (line,) = [x for x in (out / "benchmark.md").read_text().splitlines() if x.startswith("| all,")]
    assert f"{values['rmsd_angstrom']:.2f}" in line


def test_the_command_line_overrules_the_file(tmp_path):
    options = BenchmarkOptions(
        particles=640, seeds=(1, 2), snr=(0.1, 0.02), sweep_seeds=(1,), epochs=7,
        set=("training.latent_dimensions=4", "imaging.box_size=96", "simulation.n_segments=5"),
    )  # fmt: skip
    config = overruled(read_benchmark(written(tmp_path), "composition"), options)
    run = config.run_config(Path("p"), Path("m"), "mlp", 2)
    assert (run.training.epochs, run.training.latent_dimensions, run.training.seed) == (7, 4, 2)
    imaging = config.imaging_options(0.02, 1, None)
    assert (imaging.n_particles, imaging.box_size, imaging.snr) == (640, 96, 0.02)
    assert config.simulation == {"n_segments": 5}
    assert [d.name for d in data_sets(config)] == [
        "uniform_snr0.1_seed1", "uniform_snr0.1_seed2", "uniform_snr0.02_seed1",
    ]  # fmt: skip


def test_training_seeds_alone_share_one_data_set(tmp_path):
    options = BenchmarkOptions(seeds=(4, 5, 6), seed_of="training")
    config = overruled(read_benchmark(written(tmp_path), "composition"), options)
    assert [d.name for d in data_sets(config)] == ["uniform_snr0.1_seed4"]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"imaging": {"pixels": 3}}, "pixels"),
        ({"training": {"sed": 3}}, "sed"),
        ({"training": {"seed": 3}}, "seed"),
        ({"snr": []}, "snr"),
        ({"snr": [-1.0]}, "snr"),
        ({"epochs": 3}, "epochs"),
        ({"kind": "motion"}, "motion"),
    ],
)
def test_a_wrong_file_is_refused_by_the_name_of_what_is_wrong(tmp_path, changed, named):
    with pytest.raises(InputError, match=named):
        read_benchmark(written(tmp_path, **changed), "composition")


@pytest.mark.parametrize("text", ["latent=3", "training.epochs", "data.x=1", "training.epoch=1"])
def test_a_wrong_set_is_refused(tmp_path, text):
    config = read_benchmark(written(tmp_path), "composition")
    with pytest.raises(InputError):
        overruled(config, BenchmarkOptions(set=(text,)))


def test_a_file_that_is_not_there_is_named_with_the_option_that_finds_it(tmp_path):
    config = read_benchmark(BENCHMARKS / "composition.yaml", "composition")
    with pytest.raises(InputError, match=r"ribosome_50s.cif.*--data"):
        find_files(config, BENCHMARKS / "composition.yaml", tmp_path)


def test_a_benchmark_from_simulation_to_page_and_again(tmp_path, capsys):
    file, out = written(tmp_path), tmp_path / "out"
    command = ("benchmark", "composition", "--config", file, "-o", out)
    assert call(*command) == 0
    results = json.loads((out / "results.json").read_text())
    (run,) = results["runs"]
    assert (run["decoder"], run["training_seed"], run["data"]["seed"]) == ("mlp", 3, 3)
    assert 0 <= run["values"]["accuracy"] <= 1
    assert run["values"]["total_seconds"] > run["values"]["training_seconds"] > 0
    assert run["references"]["oracle"]["accuracy"] > run["values"]["accuracy"]
    (table,) = results["tables"]
    assert table["metrics"]["accuracy"]["mlp"]["mean"] == run["values"]["accuracy"]
    rows = list(csv.DictReader(io.StringIO((out / "table.csv").read_text())))
    assert {row["method"] for row in rows} == {"mlp", "oracle", "all present"}
    page = (out / "benchmark.md").read_text()
    for figure in (out / "figures").iterdir():
        assert f"figures/{figure.name}" in page
    assert (out / "figures" / "amplitude_histograms.png").stat().st_size > 1000
    before = (out / "runs" / run["name"] / "benchmark.json").stat().st_mtime_ns
    capsys.readouterr()
    assert call(*command) == 0
    assert "is there" in capsys.readouterr().out
    assert (out / "runs" / run["name"] / "benchmark.json").stat().st_mtime_ns == before
    assert call(*command, "--epochs", 2) == 2
    assert "epochs" in capsys.readouterr().err


def test_every_known_chain_of_the_assembly_lies_where_its_density_is(reference_data):
    config = read_benchmark(BENCHMARKS / "assembly.yaml", "assembly")
    files = find_files(config, BENCHMARKS / "assembly.yaml", reference_data)
    known = map_knowledge(files)
    assert known is not None
    assert known.chains is not None
    assert len(known.chains.names) == 136
    for chain in (0, 40, 110):  # RNA and proteins
        sampled = known.at(known.chains.atoms[chain]).mean(axis=1)
        assert np.corrcoef(sampled, known.chains.density[:, chain])[0, 1] > 0.95
