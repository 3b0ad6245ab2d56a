"""Maps at rest of a run, as a user makes them: files, table, refusals."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryoparts.at_rest.run_bodies import run_bodies
from cryoparts.cli.main import main
from cryoparts.io.mrc import read_map
from cryoparts.motion.motion_files import read_part_motion
from cryoparts.parts.edit_history import replaced_parts
from cryoparts.pipeline.maps.at_rest import parts_that_move
from cryoparts.run.run import Run
from resting_run import BOX, PARTICLES, PIXEL, make_resting_run


def call(*arguments: object) -> int:
    try:
        main([str(a) for a in arguments])
    except SystemExit as exit_:
        return int(exit_.code or 0)
    return 0


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return make_resting_run(tmp_path_factory.mktemp("at_rest") / "made")


@pytest.fixture(scope="module")
def folder(run) -> Path:
    assert call("reconstruct", run.root, "--at-rest", "--b-factor", "-50") == 0
    return run.directory.at_rest_path


def table_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "regions.csv").open() as file:
        return {row["region"]: row for row in csv.DictReader(file)}


def test_the_part_is_sharper_at_rest_in_the_particles_own_box(folder):
    rows = table_of(folder)
    assert rows["core"]["kept"] == "consensus"
    assert rows["part_1"]["kept"] == "rigid"
    assert float(rows["part_1"]["gained_shells"]) > 1
    assert float(rows["part_1"]["rigid_angstrom"]) < float(rows["part_1"]["consensus_angstrom"])
    for name in ("composite", "consensus", "part_1", "part_1_half1", "composite_sharpened",
                 "mask_part_1", "local_resolution_composite"):  # fmt: skip
        found = read_map(folder / f"{name}.mrc")
        assert found.density.shape == (BOX,) * 3
        assert found.voxel_size == pytest.approx(PIXEL)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["halves_trained_apart"] is False
    assert "share one model" in summary["independence"]
    with (folder / "fsc.csv").open() as file:
        curves = list(csv.DictReader(file))
    assert len(curves) == BOX // 2 + 1
    assert {"part_1_consensus", "part_1_rigid", "composite", "core_consensus"} <= set(curves[0])


def test_a_smaller_box(run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run.root, copy)
    (copy / "reconstruction" / "at_rest").mkdir(parents=True, exist_ok=True)
    for name in ("part_9.mrc", "part_9.star", "mine.mrc"):
        (copy / "reconstruction" / "at_rest" / name).write_text("of an earlier time")
    assert call("reconstruct", copy, "--at-rest", "--pixel-size", "5") == 0
    left = {path.name for path in (copy / "reconstruction" / "at_rest").iterdir()}
    assert "mine.mrc" in left
    assert not left & {"part_9.mrc", "part_9.star"}
    found = read_map(copy / "reconstruction" / "at_rest" / "composite.mrc")
    assert found.density.shape == (32,) * 3
    assert found.voxel_size == pytest.approx(5.0)
    assert not (copy / "reconstruction" / "at_rest" / "composite_sharpened.mrc").exists()
    assert "halves share one model" in " ".join(capsys.readouterr().out.split())


def test_bodies_are_in_the_frame_of_the_poses(run):
    """The true motion again, through files: the arm's atoms go where they went."""
    from cryoparts.evaluation.truth import load_truth
    from cryoparts.simulation.rigid_motion import Hinges, move_atoms

    truth = load_truth(Path(run.config.particles).parent)
    (body,) = run_bodies(run)
    points = run.model.positions[body.members].astype(float)
    motion, hinges = body.motion, Hinges(truth.axes, truth.pivots)
    rest = []
    for row in (0, 7, PARTICLES - 1):
        moved = move_atoms(points, np.ones(len(points), int), hinges, truth.angles_degrees[row])
        rest.append((moved - motion.offset_angstrom[row]) @ motion.rotation[row])
    # from one place at rest, in the middle of all: not far from the model's
    np.testing.assert_allclose(rest, np.broadcast_to(rest[0], np.shape(rest)), atol=2e-3)
    assert np.linalg.norm(rest[0] - points, axis=1).max() < 2.0


def test_a_part_of_which_images_tell_nothing_stays_where_the_poses_have_it(run, tmp_path):
    """Motions that a model makes up would shape noise alike in both halves."""
    copy = tmp_path / "run"
    shutil.copytree(run.root, copy)
    path = copy / "motion" / "motions.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert parts_that_move(Run.open(copy)) == ["part_1"]
    content["parts"]["part_1"]["told_by_the_images"] = False
    path.write_text(json.dumps(content), encoding="utf-8")
    names, columns = read_part_motion(copy / "motion", 1)
    still = pd.DataFrame(0.0, index=pd.Index(names, name="name"), columns=list(columns))
    still.to_csv(copy / "motion" / "part_1.csv")
    changed = Run.open(copy)
    assert parts_that_move(changed) == []
    (body,) = run_bodies(changed)
    poses = changed.particles.poses
    composed = body.motion.composed(poses)
    np.testing.assert_allclose(composed.rotation, poses.rotation, atol=1e-6)
    np.testing.assert_allclose(composed.shift_angstrom, poses.shift_angstrom, atol=1e-4)


def test_what_is_missing_or_does_not_go_together_is_said(run, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(run.root, copy)
    assert call("reconstruct", copy, "--box-size", 32) == 2
    assert "--at-rest" in capsys.readouterr().err
    assert call("reconstruct", copy, "--at-rest", "--part", "1") == 2
    assert call("reconstruct", copy, "--at-rest", "--box-size", 32, "--pixel-size", 5) == 2
    (copy / "motion" / "core.csv").unlink()
    capsys.readouterr()
    assert call("reconstruct", copy, "--at-rest") == 2
    assert "cryoparts motion" in " ".join(capsys.readouterr().err.split())
    (copy / "motion" / "motions.json").unlink()
    assert call("reconstruct", copy, "--at-rest") == 2


def test_maps_of_other_parts_go_with_them(run, folder, tmp_path):
    """Once the parts are others, maps at rest and the core's motion are out of date."""
    copy = tmp_path / "run"
    shutil.copytree(run.root, copy)
    assert (copy / "reconstruction" / "at_rest" / "composite.mrc").is_file()
    before = Run.open(copy).parts
    after = replace(before, labels=np.where(np.arange(len(before.labels)) % 5, before.labels, 0))
    with replaced_parts(Run.open(copy).directory, before, after, {}):
        pass
    assert not (copy / "reconstruction" / "at_rest").exists()
    assert not (copy / "motion" / "core.csv").exists()
