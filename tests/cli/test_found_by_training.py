"""Every verb on the parts that a training finds: 400 particles, three lobes that come and go."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from cryoparts.cli.main import main
from cryoparts.evaluation.truth import load_truth
from cryoparts.io.mrc import read_map
from cryoparts.simulation.composition import simulate_composition
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import CompositionOptions
from cryoparts.simulation.structures.toy_complex import toy_complex

LOBES = ("lobe_1", "lobe_2", "lobe_3")
SEGMENTS = "\n".join(
    ["chain,segment", *(f"{chain},core" for chain in "AEFGHI")]
    + [f"{chain},{name}" for chain, name in zip("BCD", LOBES, strict=True)]
)


def call(*arguments: object) -> None:
    """Run the program; it must succeed."""
    try:
        main([str(a) for a in arguments])
    except SystemExit as ended:
        assert not ended.code, arguments


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A data set, and a run on it in the default mode: positions and amplitudes vary."""
    folder = tmp_path_factory.mktemp("found")
    (folder / "segments.csv").write_text(SEGMENTS + "\n")
    imaging = ImagingOptions(n_particles=400, box_size=32, pixel_size_angstrom=9.0, snr=0.5, seed=1)
    options = CompositionOptions(segments_file=folder / "segments.csv")
    data = simulate_composition(toy_complex(0), folder / "data", imaging, options)
    run = folder / "run"
    call(
        *("run", data / "particles.star", "--model", data / "model.cif", "-o", run),
        *("--n-gaussians", 200, "--epochs", 12, "--batch-size", 16, "--latent-dimensions", 4),
        *("--threads", 1, "--seed", 1),
    )
    return data, run


def rows(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_training_finds_the_lobes_and_evaluate_says_so(finished):
    data, run = finished
    call("evaluate", run, "--truth", data)
    found = json.loads((run / "evaluation.json").read_text())
    parts = found["parts"]
    assert parts["recovered"] == parts["segments"] == 3
    assert parts["parts"] == 3
    assert parts["adjusted_rand_index"] > 0.85
    assert found["composition"]["optional_accuracy"] > 0.95
    by_name = {s["name"]: s for s in found["composition"]["segments"]}
    assert all(by_name[name]["area_under_curve"] > 0.98 for name in LOBES)
    assert found["oracle"]["optional_accuracy"] > 0.98
    assert all(one["accuracy"] > 0.95 for one in found["occupancies"].values())
    assert found["coordination"]["false_positives"] == 0


def test_each_verb_works_on_what_was_found(finished, tmp_path):
    data, run = finished
    truth = load_truth(data)
    call("composition", run)
    occupied = rows(run / "composition" / "occupancies.csv")
    assert len(occupied) == 3
    call("focus", run, "--part", "part_1", "--states", 2)
    states = [row["state"] for row in rows(run / "focus" / "part_1" / "particles.csv")]
    agree = [
        abs(np.corrcoef(np.unique(states, return_inverse=True)[1], truth.presence[:, s])[0, 1])
        for s in truth.optional_segments
    ]
    assert max(agree) > 0.8  # 9 of 10 particles; rounding moves a few
    call("motion", run)
    call("coordination", run)
    call("trust", run)
    call("masks", run)
    masks = sorted((run / "parts" / "masks").glob("*.mrc"))
    assert len(masks) == 4  # and the core's
    assert all(0.0 < read_map(path).density.mean() < 0.5 for path in masks)
    call("decode", run, "-o", tmp_path / "decoded.npz")
    with np.load(tmp_path / "decoded.npz") as decoded:
        assert set(decoded["names"].tolist()) == set(truth.names.tolist())
    call("columns", run, "-o", tmp_path / "columns.csv")
    table = rows(tmp_path / "columns.csv")
    assert len(table) == 400
    call("select", run, "without", "--where", "amplitude:part_1 < 0.5")
    chosen = {row["name"] for row in rows(run / "selections" / "without.csv")}
    share = 1.0 - truth.presence[:, truth.optional_segments].mean(axis=0)
    assert np.abs(len(chosen) / 400 - share).min() < 0.05


def test_the_maps_and_the_report_of_the_run_are_of_what_was_found(finished):
    _, run = finished
    for number in (1, 2, 3):
        maps = sorted((run / "reconstruction" / f"part_{number}").glob("*.mrc"))
        assert len(maps) >= 2
        assert all(np.isfinite(read_map(path).density).all() for path in maps)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert all(f"part_{number}" in page for number in (1, 2, 3))
