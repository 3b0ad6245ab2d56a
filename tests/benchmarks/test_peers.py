from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from peers import compare
from peers.measured import Limits, run_measured
from peers.probe import probe
from peers.programs import PROGRAMS, Job, Program

from cryoparts.evaluation.truth import load_truth
from cryoparts.simulation.composition import simulate_composition
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import CompositionOptions
from cryoparts.simulation.structures.toy_complex import toy_complex

PLENTY = Limits(cpu_minutes=1.0, memory_gib=8.0)


def coordinates(count, dimensions=3):
    return np.random.default_rng(0).normal(size=(count, dimensions))


def test_what_a_plane_separates_is_read_without_error():
    latents = coordinates(200)
    latents[:, 0] += 3 * np.sign(latents[:, 0])  # a gap, so that no fold lacks the edge
    presence = np.stack([latents[:, 0] > 0, latents[:, 0] < 0], axis=1)
    found = probe(latents * 1e-3 + 7, presence)
    assert found.accuracy == [1.0, 1.0]


def test_what_latents_do_not_know_is_read_at_the_base_rate():
    presence = np.random.default_rng(1).random((2000, 2)) < [0.5, 0.8]
    found = probe(coordinates(2000), presence)
    assert found.base_rate == pytest.approx(np.maximum(presence.mean(0), 1 - presence.mean(0)))
    # a deviation of a mean of 2,000 coins is 0.011
    assert found.accuracy == pytest.approx(found.base_rate, abs=0.04)
    assert found.mean == pytest.approx(np.mean(found.accuracy))


def test_latents_that_cannot_be_judged_are_errors():
    presence = np.arange(20)[:, None] % 2 == 0
    with pytest.raises(ValueError, match="19 latent vectors of 20"):
        probe(coordinates(19), presence)
    with pytest.raises(ValueError, match="not finite"):
        probe(np.where(presence, np.nan, coordinates(20)), presence)


def measured(tmp_path, code, limits=PLENTY):
    return run_measured([sys.executable, "-c", code], tmp_path / "log", limits, 1)


def test_time_and_memory_of_children_count(tmp_path):
    work = "import time; b = b'1' * (200 << 20)\nwhile time.process_time() < 0.8: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}], check=True)"
    used = measured(tmp_path, parent)
    assert used.ended == "finished"
    assert 0.8 <= used.cpu_seconds < 10
    assert 200 < used.peak_mib < 2000
    assert used.wall_seconds > 0.5


def test_a_failure_and_its_words_are_kept(tmp_path):
    used = measured(
        tmp_path, "import os; print(os.environ['OMP_NUM_THREADS']); raise SystemExit(3)"
    )
    assert used.ended == "failed with status 3"
    assert (tmp_path / "log").read_text() == "1\n"


@pytest.mark.parametrize(
    ("code", "limits", "said"),
    [
        ("while True: pass", Limits(0.01, 8), "stopped at 0.01 min of processor time"),
        (
            "import time; b = b'1' * (300 << 20); time.sleep(60)",
            Limits(1, 0.125),
            "stopped at 0.125 GiB",
        ),
    ],
)
def test_a_limit_ends_a_program_and_its_children(tmp_path, code, limits, said):
    parent = (
        "import subprocess, sys; "
        f"subprocess.run([sys.executable, '-c', {code!r}], stdin=subprocess.PIPE)"
    )
    assert measured(tmp_path, parent, limits).ended == said


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    imaging = ImagingOptions(n_particles=40, box_size=16, pixel_size_angstrom=20.0)
    folder = tmp_path_factory.mktemp("peers") / "data"
    return simulate_composition(toy_complex(), folder, imaging, CompositionOptions(n_segments=3))


def test_our_latents_are_joined_by_name(data, tmp_path):
    names = load_truth(data).names
    table = pd.DataFrame({"name": names, "z1": np.arange(40.0), "z2": 1.0})
    (tmp_path / "run").mkdir()
    table.sample(frac=1, random_state=0).to_csv(tmp_path / "run" / "latent.csv", index=False)
    job = Job(data, tmp_path, Path(sys.prefix), [])
    np.testing.assert_array_equal(PROGRAMS["cryoparts"].latents(job)["latent"], table[["z1", "z2"]])


def test_the_last_epoch_of_cryodrgn_is_read(data, tmp_path):
    job = Job(data, tmp_path, Path(sys.prefix), [])
    assert PROGRAMS["cryodrgn"].latents(job) == {}
    (tmp_path / "train").mkdir()
    for epoch in (2, 10):
        with (tmp_path / "train" / f"z.{epoch}.pkl").open("wb") as out:
            pickle.dump(np.full((40, 8), epoch), out)
            pickle.dump("variances follow", out)
    (kind, latents), *_ = PROGRAMS["cryodrgn"].latents(job).items()
    assert "10 epochs" in kind
    assert (latents == 10).all()


def program_that_leaves(latents, *, then=""):
    def commands(job):
        code = f"import sys, numpy; numpy.save(sys.argv[1], {latents!r})\n{then}"
        return {"first": [sys.executable, "-c", code, str(job.out / "z")], "second": ["true"]}

    def read(job):
        return {"z": np.load(job.out / "z.npy")} if (job.out / "z.npy").exists() else {}

    return Program((), ("numpy",), commands, read)


def compared(monkeypatch, program, data, out):
    monkeypatch.setitem(PROGRAMS, "recovar", program)
    given = ["run", "recovar", "--data", str(data), "-o", str(out), "--environment", sys.prefix]
    compare.main([*given, "--cpu-minutes", "0.02", "--", "--option", "7"])
    return json.loads((out / compare.RESULT).read_text())


def test_a_comparison_is_recorded_and_tabulated(data, tmp_path, monkeypatch):
    truth = load_truth(data)
    known = np.delete(truth.presence, truth.core, axis=1).astype(float).tolist()
    monkeypatch.setattr(compare, "versions", lambda *_: {"recovar": "9.9"})
    program = program_that_leaves(known)
    result = compared(monkeypatch, program, data, tmp_path / "whole")
    assert [s["ended"] for s in result["steps"].values()] == ["finished", "finished"]
    assert result["latents"]["z"]["accuracy"] == [1.0, 1.0]
    assert result["particles"] == 40
    assert result["options"] == ["--option", "7"]

    program = program_that_leaves(known, then="while True: pass")
    stopped = compared(monkeypatch, program, data, tmp_path / "stopped")
    assert "stopped" in stopped["steps"]["first"]["ended"]
    assert "second" not in stopped["steps"]
    assert stopped["latents"]["z"]["accuracy"] == [1.0, 1.0]

    (tmp_path / "other").mkdir()
    np.save(tmp_path / "other" / "z.npy", np.zeros((40, 2)))
    other = ["--data", str(data), "-o", str(tmp_path / "other")]
    compare.main(["judge", "recovar", *other])

    folders = [str(tmp_path / name) for name in ("whole", "stopped", "other")]
    compare.main(["table", *folders, "-o", str(tmp_path)])
    lines = (tmp_path / "results.md").read_text().splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "recovar 9.9" in lines[2]
    assert "100.00%" in lines[2]
    assert "stopped at 0.02 min of processor time" in lines[3]
    assert "not measured" in lines[4]
    assert len(json.loads((tmp_path / "results.json").read_text())) == 3
