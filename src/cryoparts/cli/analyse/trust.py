"""`cryoparts trust`: does the answer deserve belief?"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from cryoparts.cli.console import TrainingProgress, progress_bar, say, table, warn
from cryoparts.cli.options import RunFolder
from cryoparts.gaussians.model import GaussianModel
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.tables import write_table
from cryoparts.parts.changes import choose_sample
from cryoparts.parts.part_labels import PartLabels
from cryoparts.parts.stability import stability_over_subsamples
from cryoparts.states.focus import FocusedParticles
from cryoparts.training.setup import prepare_training, set_threads
from cryoparts.validation.leakage import Leak, as_columns, beyond_mass, measure_leaks
from cryoparts.validation.null_judgement import (
    NULL_TEST,
    NullTest,
    labels_checksum,
    null_test,
)
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
from cryoparts.validation.trust_record import PartTrust, TrustRecord

LEAKAGE = "leakage.csv"


def trust(
    run: RunFolder,
    *,
    seeds: Annotated[int, Parameter(help="Train again from this many other seeds.")] = 0,
    halves: Annotated[
        bool, Parameter(negative="", help="Train again on each half set and compare the two.")
    ] = False,
    null_training: Annotated[
        bool, Parameter(negative="", help="Train from scratch on particles that do not change.")
    ] = False,
) -> None:
    """Judge each part: by null particles, by how it is found again, by what predicts the imaging.

    Writes trust/parts.csv, trust/leakage.csv and trust/trust.json. Trainings
    asked for are kept in trust/ and made once; an interrupted one goes on.
    """
    folder = RunDirectory.open(run)
    folder.require(folder.parts_path / "labels.npy", f"cryoparts parts {run}")
    with folder.logging():
        config = folder.config().training
        set_threads(config.threads)
        wanted = seed_repeats(config, seeds) + (half_repeats(config) if halves else [])
        for repeat in [*wanted, *([null_repeat(config)] if null_training else [])]:
            _train(folder, repeat)
        trust_run(folder)


def trust_run(run: RunDirectory) -> TrustRecord:
    """All checks that need no training, and comparison with the trainings that are there."""
    config = run.config()
    set_threads(config.training.threads)
    labels = PartLabels.load(run.parts_path)
    trained = TrainedDecoder(run)
    tested = _null_test(run, trained, labels)
    leaks = _leaks(run, trained, labels)
    run.trust_path.mkdir(exist_ok=True)
    write_table(run.trust_path / LEAKAGE, as_columns(leaks))
    parts = _with_subsamples(run, trained, labels, _rows(labels, tested, leaks))
    again = compare_trainings(run, trained, labels)
    parts = [_with_trainings(part, again, number) for number, part in enumerate(parts)]
    record = TrustRecord(tuple(parts), _summary(tested, leaks, again))
    record.save(run.trust_path)
    _show(record, tested, leaks)
    return record


def drop_flagged(run: RunDirectory, trained: TrainedDecoder, labels: PartLabels) -> PartLabels:
    """The parts without those that null particles show as well; writes trust/null_test.json."""
    tested, kept = null_test(run, trained, labels, drop=True)
    if tested is None:
        (run.trust_path / NULL_TEST).unlink(missing_ok=True)
        if labels.n_parts:
            warn("too few particles to tell parts from noise by null particles")
        return labels
    tested.save(run.trust_path)
    if tested.dropped:
        say(
            f"{len(tested.dropped)} of {labels.n_parts} groups of Gaussians do what null "
            "particles, in which nothing changes, show as well: put back into the core "
            "(--keep-flagged keeps them)"
        )
    return kept


def _train(run: RunDirectory, repeat: Repeat) -> None:
    done = is_trained(RunDirectory(run.trust_path / repeat.name))
    say(f"{repeat.name}: {'trained already' if done else 'training'}")
    of_null = None
    if repeat.name == NULL_NAME and not done:
        of_null = (TrainedDecoder(run), prepare_training(run, run.config().training))
    with (
        progress_bar("encoder input") as shown,
        TrainingProgress(repeat.config.epochs) as epochs,
    ):
        repeat_training(run, repeat, epochs, null_of=of_null, shown=shown)


def _null_test(run: RunDirectory, trained: TrainedDecoder, labels: PartLabels) -> NullTest | None:
    """The test that was made when the parts were found, or a new one if they are others."""
    known = NullTest.load(run.trust_path)
    if known is not None and known.labels == labels_checksum(labels):
        return known
    tested, _ = null_test(run, trained, labels, drop=False)
    if tested is not None:
        tested.save(run.trust_path)
    return tested


def _leaks(run: RunDirectory, trained: TrainedDecoder, labels: PartLabels) -> list[Leak]:
    """What the latent space and each part's coordinate predict of the imaging."""
    particles, seed = trained.particles, run.config().training.seed
    mean = particles.image_means()
    spaces = {"latent": trained.latent().astype(np.float64)}
    amplitudes = []
    for part in range(1, labels.n_parts + 1):
        if (run.focus_path(part) / "particles.csv").is_file():
            focused = FocusedParticles.load(run.focus_path(part))
            if np.array_equal(focused.names, particles.names):
                spaces[f"part_{part}"] = focused.coordinate[:, None]
                amplitudes.append(focused.mean_amplitude)
    if amplitudes and "amplitude" in trained.config.vary:
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
        )
    for number, row in enumerate(rows):
        own = [leak for leak in leaks if leak.space == row.part]
        if own:
            worst = max(own, key=lambda leak: leak.explained)
            rows[number] = replace(row, leakage=worst.explained, leakage_quantity=worst.quantity)
    return rows


def _with_subsamples(
    run: RunDirectory, trained: TrainedDecoder, labels: PartLabels, rows: list[PartTrust]
) -> list[PartTrust]:
    if not rows:
        return rows
    config = run.config()
    sample = choose_sample(len(trained.particles), config.parts.sample, config.training.seed)
    overlaps = stability_over_subsamples(
        labels.labels,
        GaussianModel.load(run.gaussians_path).positions.astype(np.float64),
        trained.decode(sample),
        image=trained.particles.image[sample],
        method=config.parts.embedding,
        min_part_size=config.parts.min_part_size,
        seed=config.training.seed,
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


def _show(record: TrustRecord, tested: NullTest | None, leaks: list[Leak]) -> None:
    for leak in leaks:
        if leak.worrying:
            warn(
                f"{leak.space} predicts the {leak.quantity} "
                f"({100 * leak.explained:.0f}% of its variance)"
            )
    if not record.parts:
        dropped = 0 if tested is None else len(tested.dropped)
        say("no part to judge" + (f" ({dropped} groups were put back)" if dropped else ""))
        return
    header = ["", "null / data", "found again", "leakage", "verdict"]
    rows = [
        [
            part.part if part.name == part.part else f"{part.part} {part.name}",
            "–" if np.isnan(part.null_ratio) else f"{part.null_ratio:.2f}",
            "–" if np.isnan(part.least_stable) else f"{100 * part.least_stable:.0f}%",
            "–" if np.isnan(part.leakage) else f"{100 * part.leakage:.0f}%",
            part.verdict,
        ]
        for part in record.parts
    ]
    table("Do the parts deserve belief?", header, rows)
