"""Comparison of a run with the trainings in RUN/trust: other seeds, half sets, null particles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.io.run_directory import RunDirectory
from cryoparts.parts.segmentation import segment_decoded
from cryoparts.parts.stability import possible_parts, stability_over_segmentations
from cryoparts.run.run import Run
from cryoparts.seeds import Purpose
from cryoparts.statistics.trusted import choose_sample
from cryoparts.validation.agreement import Agreement, agreement
from cryoparts.validation.null_amplitude import compare_with_null
from cryoparts.validation.null_judgement import FEWEST_PARTICLES, sample_of
from cryoparts.validation.repeat_training import NULL_NAME, is_trained

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.inference.decoded import Decoded
    from cryoparts.parts.part_labels import PartLabels

    IntArray = NDArray[np.int64]

SAMPLE = 1000
"""Particles that two trainings are compared on."""


@dataclass(frozen=True)
class TrainedAgain:
    """What other trainings say of a run's parts.

    Parameters
    ----------
    of_parts : dict of str to list of float
        Columns of trust/parts.csv, one value a part.
    overall : dict
        Names of the trainings, parts found in each, agreement over all Gaussians.
    """

    of_parts: dict[str, list[float]]
    overall: dict[str, Any]


def compare_trainings(run: Run, labels: PartLabels) -> TrainedAgain:
    """Compare the run with every finished training in RUN/trust.

    Parameters
    ----------
    run : Run
        Trained.
    labels : PartLabels
        The run's parts.
    """
    others = {
        path.name: Run.open(path)
        for path in sorted(run.directory.trust_path.glob("*"))
        if path.is_dir() and is_trained(RunDirectory(path))
    }
    columns: dict[str, list[float]] = {}
    overall: dict[str, Any] = {}
    seeds = {name: other for name, other in others.items() if name.startswith("seed_")}
    halves = [others[name] for name in ("half_1", "half_2") if name in others]
    if seeds or len(halves) == 2:
        rows = choose_sample(
            len(run.particles),
            SAMPLE,
            run.training.seed,
            run.particle_weights,
            purpose=Purpose.TRAININGS_SAMPLE,
        )
        own = run.decoder.decode(rows)
        if seeds:
            _compare_seeds(run, labels, rows, own, seeds, columns, overall)
        if len(halves) == 2:
            _compare_halves(run, labels, rows, halves, columns, overall)
    if NULL_NAME in others:
        _compare_null(run, labels, others[NULL_NAME], columns, overall)
    return TrainedAgain(columns, overall)


def _compare_seeds(
    run: Run,
    labels: PartLabels,
    rows: IntArray,
    own: Decoded,
    seeds: dict[str, Run],
    columns: dict[str, list[float]],
    overall: dict[str, Any],
) -> None:
    outputs = {name: other.decoder.decode(rows) for name, other in seeds.items()}
    found = {name: _segmented(run, output) for name, output in outputs.items()}
    columns["stability_seeds"] = _stability(
        run, labels, [(found[name], output) for name, output in outputs.items()]
    )
    columns["agreement_seeds"] = [
        float(np.mean([agreement(own, other, members).correlation for other in outputs.values()]))
        for members in _members(labels)
    ]
    overall["seeds"] = {
        name: _in_numbers(agreement(own, output)) | {"parts": found[name].n_parts}
        for name, output in outputs.items()
    }


def _compare_halves(
    run: Run,
    labels: PartLabels,
    rows: IntArray,
    halves: list[Run],
    columns: dict[str, list[float]],
    overall: dict[str, Any],
) -> None:
    one, two = (half.decoder.decode(rows) for half in halves)
    found = [_segmented(run, output) for output in (one, two)]
    columns["stability_halves"] = _stability(run, labels, list(zip(found, (one, two), strict=True)))
    by_part = [agreement(one, two, members) for members in _members(labels)]
    columns["agreement_halves"] = [part.correlation for part in by_part]
    columns["amplitude_error_halves"] = [part.amplitude_error for part in by_part]
    columns["displacement_error_halves_angstrom"] = [
        part.displacement_error_angstrom for part in by_part
    ]
    overall["halves"] = _in_numbers(agreement(one, two)) | {
        "parts": [half.n_parts for half in found]
    }


def _compare_null(
    run: Run,
    labels: PartLabels,
    null_run: Run,
    columns: dict[str, list[float]],
    overall: dict[str, Any],
) -> None:
    """The null run has the particles' names and order, so the same ones are held out in it."""
    seed = run.training.seed
    rows, measured = sample_of(run.trusted_split, seed, run.particles.image)
    null = null_run.decoder.decode(rows)
    metrics = null_run.directory.metrics()
    overall["null_training"] = {
        "parts_before_the_null_test": _segmented(run, null).n_parts,
        "held_out_frc_neutral": metrics[0]["held_out_frc"],
        "held_out_frc_best": max(row["held_out_frc"] for row in metrics[1:]),
    }
    if labels.n_parts == 0 or min(measured.sum(), (~measured).sum()) < FEWEST_PARTICLES:
        return
    judged = compare_with_null(labels, run.decoder.decode(rows), null, measured, seed=seed)
    columns["trained_null_ratio"] = [part.null_ratio for part in judged]


def _segmented(run: Run, decoded: Decoded) -> PartLabels:
    """Parts of another training's output, found with the options that the run's parts have."""
    options = run.parts_options
    return segment_decoded(
        run.model.positions,
        decoded,
        method=options.embedding,
        min_part_size=options.min_part_size,
        seed=run.training.seed,
    )


def _members(labels: PartLabels) -> list[NDArray[np.bool_]]:
    return [labels.members(part) for part in range(1, labels.n_parts + 1)]


def _stability(
    run: Run, labels: PartLabels, again: list[tuple[PartLabels, Decoded]]
) -> list[float]:
    """Mean best overlap of each part with what may be a part by other trainings."""
    size, seed = run.parts_options.min_part_size, run.training.seed
    others = [
        possible_parts(found, decoded.relative_amplitudes, min_part_size=size, seed=seed)
        for found, decoded in again
    ]
    return [float(share) for share in stability_over_segmentations(labels.labels, others)]


def _in_numbers(agreed: Agreement) -> dict[str, Any]:
    return {
        "correlation": agreed.correlation,
        "amplitude_error": agreed.amplitude_error,
        "amplitude_size": agreed.amplitude_size,
        "displacement_error_angstrom": agreed.displacement_error_angstrom,
        "displacement_size_angstrom": agreed.displacement_size_angstrom,
    }
