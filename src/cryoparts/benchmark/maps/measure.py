"""One case of the benchmark of maps at rest: simulate, train, bring to rest, compare."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.at_rest.make_maps import Making
from cryoparts.benchmark.runs import program_fingerprint
from cryoparts.config.steps import AtRestOptions
from cryoparts.errors import InputError
from cryoparts.evaluation.maps.rest_oracle import true_regions
from cryoparts.evaluation.maps.run_at_rest import evaluate_at_rest
from cryoparts.evaluation.truth import align_truth, load_truth
from cryoparts.io.run_directory import write_json
from cryoparts.particles.original_images import OriginalImages
from cryoparts.parts.part_labels import PartLabels
from cryoparts.pipeline.maps.at_rest import reconstruct_at_rest
from cryoparts.pipeline.maps.halves import trained_apart
from cryoparts.pipeline.motion import find_motion
from cryoparts.pipeline.parts import find_parts
from cryoparts.pipeline.simulation import simulate
from cryoparts.pipeline.start import open_particles, start_run
from cryoparts.pipeline.training import train_run
from cryoparts.simulation.ground_truth import MotionTruth
from cryoparts.training.setup import set_threads

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.at_rest.composite import JudgedRegion
    from cryoparts.at_rest.regions import Quality
    from cryoparts.benchmark.maps.cases import MapsBenchmark, MapsCase
    from cryoparts.evaluation.maps.rest_accuracy import RegionAccuracy
    from cryoparts.run.run import Run

RECORD = "maps.json"


def case_folder(output: Path, case: MapsCase, seed: int) -> Path:
    """Where a case's data, run and record lie."""
    return output / f"{case.name}_seed{seed}"


def measure_case(
    benchmark: MapsBenchmark, case: MapsCase, seed: int, structure: Path, tables: Path, output: Path
) -> dict[str, Any]:
    """Make whatever of a case is not there yet, and return its record.

    Parameters
    ----------
    benchmark : MapsBenchmark
    case : MapsCase
    seed : int
    structure : Path
    tables : Path
        Folder of the tables that the case names.
    output : Path
        Of the benchmark; the case has a folder in it.
    """
    folder = case_folder(output, case, seed)
    record = folder / RECORD
    if record.is_file():
        done: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        return done
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    if not data.exists():
        simulate(
            structure,
            data,
            benchmark.simulation(case, tables),
            imaging=benchmark.imaging_options(case, seed),
            nuisances=benchmark.nuisance_options(),
        )
    config = benchmark.run_config(case, data / "particles.star", data / "model.cif", seed)
    started = time.perf_counter()
    run = start_run(config, folder / "run", resume=(folder / "run").exists())
    if not run.directory.latent_csv_path.is_file():
        train_run(run, resume=True)
    truth = align_truth(load_truth(data), run.particles.names)
    assert isinstance(truth, MotionTruth)
    if case.parts == "given":
        _give_parts(run, truth)
    else:
        find_parts(run, config.parts)
    motion = find_motion(run, None)
    trained = time.perf_counter()
    options = AtRestOptions(**case.at_rest)
    if case.parts == "given" and options.halves:
        _give_parts_to_halves(run, truth)
    if motion is None and not options.deformable:
        raise InputError(str(run.root), "no part was found", "Nothing can be brought to rest.")
    made = reconstruct_at_rest(run, options)
    rested = time.perf_counter()
    source = OriginalImages.of(
        open_particles(run.config),
        run.particles,
        run.config.preprocessing,
        box_size=options.box_size,
        pixel_size_angstrom=options.pixel_size_angstrom,
    )
    making = Making(threads=set_threads(run.training.threads), seed=seed)
    compared = evaluate_at_rest(made.folder, source, run.model, truth, making)
    found = {
        "case": case.name,
        "seed": seed,
        "particles": len(run.particles),
        "box_size": source.box_size,
        "pixel_size_angstrom": source.pixel_size_angstrom,
        "parts": run.parts.n_parts,
        "against_the_truth": [_accuracy(one) for one in compared.regions],
        "half_maps": [_judged(one, source.box_size) for one in made.regions],
        "oracle_resolution_angstrom": compared.oracle_resolution_angstrom,
        "independent": made.independent,
        "seconds": {"to_motion": trained - started, "at_rest": rested - trained},
        "program": program_fingerprint(),
    }
    write_json(record, found)
    return found


def _give_parts(run: Run, truth: MotionTruth) -> None:
    """The true regions as the run's parts."""
    nothing = np.zeros(len(run.model))
    PartLabels(
        true_regions(run.model, truth),
        np.zeros((len(run.model), 2)),
        run.model.positions.astype(np.float64),
        nothing,
        nothing,
        "pca",
    ).save(run.directory.parts_path)


def _give_parts_to_halves(run: Run, truth: MotionTruth) -> None:
    """The true regions as the parts of both halves, which are trained for it.

    Each half would look for its own, and where there is nothing to be found it finds none.
    """
    for of_half in trained_apart(run):
        if of_half.motions is None:
            _give_parts(of_half, truth)
            find_motion(of_half, None)


def _accuracy(one: RegionAccuracy) -> dict[str, Any]:
    share = one.share_of_the_way("at_rest")
    return {
        "region": one.region,
        "frequency_per_angstrom": one.frequency,
        "area_shells": one.area_shells,
        "share_of_the_way": None if np.isnan(share) else share,
    }


def _judged(one: JudgedRegion, box: int) -> dict[str, Any]:
    return {
        "region": one.name,
        "kept": one.kept,
        "gained_shells": one.gained_shells,
        "times_particles": one.times_particles,
        "kinds": {kind: _quality(quality, box) for kind, quality in one.qualities.items()},
    }


def _quality(quality: Quality, box: int) -> dict[str, Any]:
    """Resolution, and the mean corrected FSC over the outer half of the shells."""
    outer = np.nan_to_num(quality.curves.corrected[box // 4 : box // 2])
    return {
        "resolution_angstrom": quality.resolution_angstrom,
        "mean_fsc_of_outer_half": float(outer.mean()),
    }
