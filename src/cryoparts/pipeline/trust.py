"""Does each part deserve belief: null particles, other seeds, half sets, leakage."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.io.atomic import write_together
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.tables import write_table
from cryoparts.parts.stability import stability_over_subsamples
from cryoparts.pipeline.composition import ask_sample
from cryoparts.pipeline.motion import moving_parts
from cryoparts.pipeline.progress import Progress, counting, silent
from cryoparts.statistics.trusted import choose_sample
from cryoparts.validation.leakage import Leak, as_columns, beyond_mass, measure_leaks
from cryoparts.validation.null_judgement import NullTest, labels_checksum, null_test
from cryoparts.validation.repeat_training import (
    NULL_NAME,
    Repeat,
    half_repeats,
    is_trained,
    null_repeat,
    repeat_training,
    seed_repeats,
)
from cryoparts.validation.trained_again import TrainedAgain, compare_trainings
from cryoparts.validation.trust_record import SUMMARY, PartTrust, TrustRecord

if TYPE_CHECKING:
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.run.run import Run
    from cryoparts.training.trainer import Progress as TrainingProgress

LEAKAGE = "leakage.csv"


@dataclass(frozen=True)
class TrustFound:
    """What speaks for and against a run's parts.

    Parameters
    ----------
    record : TrustRecord
        A row a part, and a summary.
    null_test : NullTest or None
        None where there were too few particles to judge by.
    leaks : tuple of Leak
        How much of the imaging each space predicts.
    """

    record: TrustRecord
    null_test: NullTest | None
    leaks: tuple[Leak, ...]


def repeats_of(run: Run, *, seeds: int, halves: bool, null_training: bool) -> list[Repeat]:
    """The trainings that would be made again: other seeds, half sets, null particles."""
    config = run.training
    return [
        *seed_repeats(config, seeds),
        *(half_repeats(config) if halves else []),
        *([null_repeat(config)] if null_training else []),
    ]


def is_repeated(run: Run, repeat: Repeat) -> bool:
    """Whether such a training is in the run's folder already."""
    return is_trained(RunDirectory(run.directory.trust_path / repeat.name))


def train_again(
    run: Run, repeat: Repeat, epochs: TrainingProgress, progress: Progress = silent
) -> RunDirectory:
    """Train once more, unless it has been done; in trust/, whence an interrupted one goes on."""
    of_null = None
    if repeat.name == NULL_NAME and not is_repeated(run, repeat):
        of_null = (run.decoder, run.setup)
    shown = counting(progress, "encoder input")
    return repeat_training(run.directory, repeat, epochs, null_of=of_null, shown=shown)


def judge_trust(run: Run, progress: Progress = silent) -> TrustFound:
    """All checks that need no training, and comparison with the trainings that are there.

    Writes trust/parts.csv, trust/leakage.csv and trust/trust.json.
    """
    labels, folder = run.parts, run.directory.trust_path
    progress("trust: null particles", 0, 0)
    tested = _null_test(run, labels, progress)
    progress("trust: what predicts the imaging", 0, 0)
    leaks = _leaks(run, labels)
    progress("trust: parts of subsamples", 0, 0)
    parts = _with_subsamples(run, labels, _rows(labels, tested, leaks))
    progress("trust: comparing trainings", 0, 0)
    again = compare_trainings(run, labels)
    parts = [_with_trainings(part, again, number) for number, part in enumerate(parts)]
    record = TrustRecord(tuple(parts), _summary(tested, leaks, again))
    with write_together(folder, last=SUMMARY) as new:
        write_table(new / LEAKAGE, as_columns(leaks))
        record.save(new)
    return TrustFound(record, tested, tuple(leaks))


def _null_test(run: Run, labels: PartLabels, progress: Progress) -> NullTest | None:
    """The test that was made when the parts were found, or a new one if they are others."""
    known = NullTest.load(run.directory.trust_path)
    if known is not None and known.labels == labels_checksum(labels):
        return known
    seen = ask_sample(run, labels, displaced="position" in run.training.vary)
    tested, _ = null_test(
        run,
        labels,
        drop=False,
        moving=moving_parts(run, labels, progress),
        fading=() if seen is None else seen.fading,
        progress=counting(progress, "trust: null particles"),
    )
    if tested is not None:
        tested.save(run.directory.trust_path)
    return tested


def _leaks(run: Run, labels: PartLabels) -> list[Leak]:
    """What the latent space and each part's coordinate predict of the imaging."""
    particles, seed = run.particles, run.training.seed
    mean = particles.image_means()
    spaces = {"latent": run.latent.astype(np.float64)}
    amplitudes = []
    for part in range(1, labels.n_parts + 1):
        if (run.directory.focus_path(part) / "particles.csv").is_file():
            focused = run.states(part)
            if np.array_equal(focused.names, particles.names):
                spaces[f"part_{part}"] = focused.coordinate[:, None]
                amplitudes.append(focused.mean_amplitude)
    if amplitudes and "amplitude" in run.training.vary:
        mean = beyond_mass(mean, np.column_stack(amplitudes))
    return [
        leak
        for space, z in spaces.items()
        for leak in measure_leaks(
            z,
            particles.poses,
            particles.ctf,
            image_mean=mean,
            image=particles.image,
            space=space,
            seed=seed,
        )
    ]


def _rows(labels: PartLabels, tested: NullTest | None, leaks: list[Leak]) -> list[PartTrust]:
    rows = [PartTrust(f"part_{k}", labels.name(k)) for k in range(1, labels.n_parts + 1)]
    for one in tested.parts if tested is not None else ():
        rows[one.part - 1] = replace(
            rows[one.part - 1],
            null_ratio=one.null_ratio,
            null_ratio_high=one.null_ratio_high,
            amplitude_change=one.amplitude_change,
            null_amplitude_change=one.null_amplitude_change,
            displacement_rms_angstrom=one.displacement_rms_angstrom,
            null_displacement_rms_angstrom=one.null_displacement_rms_angstrom,
            moves_by_images=one.moves_by_images,
            fades_by_images=one.fades_by_images,
        )
    for number, row in enumerate(rows):
        own = [leak for leak in leaks if leak.space == row.part]
        if own:
            worst = max(own, key=lambda leak: leak.explained)
            rows[number] = replace(row, leakage=worst.explained, leakage_quantity=worst.quantity)
    return rows


def _with_subsamples(run: Run, labels: PartLabels, rows: list[PartTrust]) -> list[PartTrust]:
    if not rows:
        return rows
    options, seed = run.parts_options, run.training.seed
    sample = choose_sample(len(run.particles), options.sample, seed, run.particle_weights)
    overlaps = stability_over_subsamples(
        labels.labels,
        run.model.positions.astype(np.float64),
        run.decoder.decode(sample),
        image=run.particles.image[sample],
        method=options.embedding,
        min_part_size=options.min_part_size,
        seed=seed,
    )
    return [
        replace(row, stability_subsamples=float(overlap))
        for row, overlap in zip(rows, overlaps, strict=True)
    ]


def _with_trainings(row: PartTrust, again: TrainedAgain, number: int) -> PartTrust:
    measured: dict[str, Any] = {name: values[number] for name, values in again.of_parts.items()}
    return replace(row, **measured)


def _summary(tested: NullTest | None, leaks: list[Leak], again: TrainedAgain) -> dict[str, object]:
    return {
        "null_test": None
        if tested is None
        else {"particles": tested.particles, "dropped": len(tested.dropped)},
        "worrying_leaks": [
            {"space": leak.space, "quantity": leak.quantity, "explained": leak.explained}
            for leak in leaks
            if leak.worrying
        ],
        "trained_again": again.overall,
    }
