"""A run of simulated particles with a ball that turns, its motion known exactly; not trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryoparts.config import ModelConfig, PreprocessingConfig, RunConfig, TrainingConfig
from cryoparts.evaluation.truth import load_truth
from cryoparts.inference.decoded import Decoded
from cryoparts.io.structure import Structure
from cryoparts.motion.motion_files import (
    write_core_motion,
    write_motion_summary,
    write_part_motion,
)
from cryoparts.motion.run_motion import measure_motion, summarise
from cryoparts.parts.part_labels import PartLabels
from cryoparts.pipeline.simulation import simulate
from cryoparts.pipeline.start import start_run
from cryoparts.run.run import Run
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.rigid_motion import Hinges, placements
from cryoparts.simulation.scene_options import MotionOptions

PARTICLES, BOX, PIXEL, WORKING_BOX = 240, 40, 4.0, 24


def two_balls() -> Structure:
    """Chain A stays; chain B beside it turns."""
    random = np.random.default_rng(0)
    still, moving = (random.normal(scale=9, size=(n, 3)) for n in (160, 120))
    still[:, 0] -= 24
    moving[:, 0] += 24
    points = np.concatenate([still, moving])
    count = len(points)
    return Structure(
        positions=points.astype(np.float32),
        masses=np.full(count, 6, dtype=np.float32),
        chain_ids=np.repeat(np.array(["A", "B"]), (160, 120)),
        residue_numbers=np.arange(1, count + 1),
        residue_names=np.full(count, "ALA"),
        atom_names=np.full(count, "CA"),
        elements=np.full(count, "C"),
    )


def make_resting_run(root: Path, *, snr: float = 0.04) -> Run:
    """Simulate into ROOT/data, start ROOT/run, and write the true parts and motions into it."""
    root.mkdir(exist_ok=True)
    table = root / "regions.csv"
    table.write_text(
        "chain,region,axis_x,axis_y,axis_z,pivot_x,pivot_y,pivot_z\nB,arm,0,0.6,0.8,-5,0,0\n"
    )
    imaging = ImagingOptions(PARTICLES, BOX, PIXEL, snr=snr, shift_sigma_angstrom=4.0)
    data = simulate(
        two_balls(),
        root / "data",
        MotionOptions(regions_file=table, rmsd_angstrom=3.5),
        imaging=imaging,
    )
    config = RunConfig(
        str(data / "particles.star"),
        str(data / "model.cif"),
        as_given=True,
        preprocessing=PreprocessingConfig(box_size=WORKING_BOX),
        gaussians=ModelConfig(n_gaussians=120),
        training=TrainingConfig(vary=("position",), threads=1),
    )
    run = start_run(config, root / "run")
    write_true_motion(run, data)
    return run


def write_true_motion(run: Run, data: Path) -> None:
    """Parts and motion/ of a run as a perfect training would have them."""
    truth = load_truth(data)
    model, places = run.model, run.model.positions.astype(np.float64)
    nearest = np.argmin(
        ((places[:, None] - truth.atom_positions[None].astype(np.float64)) ** 2).sum(-1), axis=1
    )
    region = truth.atom_region[nearest]
    count = len(model)
    PartLabels(
        region, np.zeros((count, 2)), places, np.zeros(count), np.zeros(count), "pca"
    ).save(run.directory.parts_path)  # fmt: skip
    turns, moves = placements(Hinges(truth.axes, truth.pivots), truth.angles_degrees)

    def decode(rows: np.ndarray) -> Decoded:
        moved = np.einsum("pnij,nj->pni", turns[rows][:, region], places)
        displaced = moved + moves[rows][:, region] - places
        return Decoded(run.particles.names[rows], displacements=displaced)

    labels = run.parts
    motion = measure_motion(model, labels, decode, len(run.particles))
    folder, names = run.directory.motion_path, run.particles.names
    for part, one in motion.parts.items():
        write_part_motion(folder, part, names, one)
    write_core_motion(folder, names, motion.core)
    write_motion_summary(folder, summarise(motion, labels, "core"))
