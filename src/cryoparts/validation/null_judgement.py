"""The null test of a run: its parts, judged by null particles, and the result as a file."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cryoparts.io.files import reading
from cryoparts.io.run_directory import write_json
from cryoparts.seeds import Purpose, random_for
from cryoparts.statistics.by_image import one_row_each
from cryoparts.validation.null_amplitude import (
    LARGEST_NULL_RATIO,
    PartAgainstNull,
    compare_with_null,
    without_parts,
)
from cryoparts.validation.null_test import null_decoder

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.run.run import Run
    from cryoparts.training.split import Split

NULL_TEST = "null_test.json"

MOST_PARTICLES = 1000
"""Particles of each kind (to choose the main change on, to measure on)."""

FEWEST_PARTICLES = 20
"""With fewer to measure on, the test would say nothing and nothing is judged."""


@dataclass(frozen=True)
class NullTest:
    """What the null particles say of a run's parts.

    Parameters
    ----------
    parts : tuple of PartAgainstNull
        The parts of the run.
    dropped : tuple of PartAgainstNull
        Groups of Gaussians that were put back into the core, under their first numbers.
    dropped_gaussians : tuple of int
        How many Gaussians each of these had.
    labels : str
        Checksum of the labels that were judged.
    particles : int
        Number of particles measured on.
    """

    parts: tuple[PartAgainstNull, ...]
    dropped: tuple[PartAgainstNull, ...]
    dropped_gaussians: tuple[int, ...]
    labels: str
    particles: int

    def save(self, folder: Path) -> None:
        """Write null_test.json."""
        folder.mkdir(parents=True, exist_ok=True)
        content = {
            "largest_null_ratio": LARGEST_NULL_RATIO,
            "particles": self.particles,
            "labels_sha256": self.labels,
            "parts": [_plain(part) for part in self.parts],
            "dropped": [_plain(part) for part in self.dropped],
            "dropped_gaussians": list(self.dropped_gaussians),
        }
        write_json(folder / NULL_TEST, content)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read what `save` wrote; None where there is nothing.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        path = folder / NULL_TEST
        if not path.exists():
            return None
        with reading(path, "a null test", "Remove it and run `cryoparts trust` again."):
            content = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                tuple(_part(row) for row in content["parts"]),
                tuple(_part(row) for row in content["dropped"]),
                tuple(content["dropped_gaussians"]),
                str(content["labels_sha256"]),
                int(content["particles"]),
            )


def labels_checksum(labels: PartLabels) -> str:
    """SHA-256 of the label of every Gaussian."""
    return hashlib.sha256(np.ascontiguousarray(labels.labels, dtype="<i8").tobytes()).hexdigest()


def null_test(
    run: Run,
    labels: PartLabels,
    *,
    drop: bool,
    moving: Collection[int] = (),
    fading: Collection[int] = (),
    progress: Callable[[int, int], None] | None = None,
) -> tuple[NullTest | None, PartLabels]:
    """Judge the parts by null particles passed through the trained networks.

    Parameters
    ----------
    run : Run
        Trained.
    labels : PartLabels
        Parts of its Gaussians.
    drop : bool
        Put flagged parts back into the core.
    moving : collection of int
        Parts that move by the images: their change is not slight.
    fading : collection of int
        Parts that the images show now there and now not: no noise of the networks.
    progress : callable or None
        Told how many null particles are done.

    Returns
    -------
    NullTest or None
        None where there are too few particles to judge by, or no part.
    PartLabels
        With the flagged parts in the core, if asked for.
    """
    seed = run.training.seed
    if labels.n_parts == 0:
        return None, labels
    rows, measured = sample_of(run.trusted_split, seed, run.particles.image)
    if measured.sum() < FEWEST_PARTICLES or (~measured).sum() < FEWEST_PARTICLES:
        return None, labels
    data = run.decoder.decode(rows)
    setup = replace(run.setup, split=run.trusted_split)
    null = null_decoder(run.decoder, setup, rows, seed, progress).decode()
    judged = compare_with_null(labels, data, null, measured, seed=seed)
    judged = [
        replace(one, moves_by_images=one.part in moving, fades_by_images=one.part in fading)
        for one in judged
    ]
    flagged = [one for one in judged if one.flagged] if drop else []
    gone = {one.part for one in flagged}
    kept = without_parts(labels, gone)
    sizes = tuple(int(labels.members(one.part).sum()) for one in flagged)
    remaining = [one for one in judged if one.part not in gone]
    renumbered = tuple(replace(one, part=number) for number, one in enumerate(remaining, start=1))
    return (
        NullTest(renumbered, tuple(flagged), sizes, labels_checksum(kept), int(measured.sum())),
        kept,
    )


def sample_of(
    split: Split, seed: int, image: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Particles to judge by, and which of them to measure on: those held out.

    Where too few are held out, half of a sample of the others is measured on. Of
    several rows of one image (`image` has the number of each row's) one is taken.
    """
    rng = random_for(seed, Purpose.NULL_SAMPLE)
    sides = [split.training, split.held_out]
    if image is not None:
        sides = [rows[one_row_each(image[rows], seed)] for rows in sides]
    training, held = (rng.permutation(rows)[:MOST_PARTICLES] for rows in sides)
    if len(held) < FEWEST_PARTICLES:
        training, held = training[::2], training[1::2]
    rows = np.concatenate([training, held])
    order = np.argsort(rows)
    return rows[order], (np.arange(len(rows)) >= len(training))[order]


def _plain(part: PartAgainstNull) -> dict[str, Any]:
    row = asdict(part)
    for key in ("coordinate", "null_coordinate"):
        row[key] = [float(f"{value:.4g}") for value in row[key]]
    return row


def _part(row: dict[str, Any]) -> PartAgainstNull:
    arrays = {key: np.asarray(row[key], float) for key in ("coordinate", "null_coordinate")}
    return PartAgainstNull(**(row | arrays))
