"""How many particles are junk, with examples: a section of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup

from cryoparts.figures.junk import filtered, probability_histogram, tile
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.tables import load_array
from cryoparts.particles.prepared import IMAGES, PARTICLES, PreparedParticles
from cryoparts.report.environment import render
from cryoparts.report.wording import percent
from cryoparts.statistics.trusted import TRUSTED, is_trusted

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.figures.pictures import Picture

    FloatArray = NDArray[np.float64]

ALIKE = 0.9
"""Where no particle is less probable, there is nothing to show."""

SMALLEST = 0.001
"""Probabilities below it are not told apart."""

EXAMPLES = 6
"""Images shown of either kind."""


@dataclass(frozen=True)
class Example:
    """One particle, as it is and without its finest noise."""

    name: str
    probability: str
    raw: str
    smooth: str


@dataclass(frozen=True)
class JunkSection:
    """The section: HTML, empty where no probabilities are stored, its figures, the count."""

    html: Markup
    pictures: tuple[Picture, ...] = ()
    junk: int | None = None
    share: float = 0.0


def junk_section(folder: Path) -> JunkSection:
    """Number of junk particles, their probabilities, and images of the surest of both kinds.

    Raises
    ------
    InputError
        If a file of the run is damaged.
    """
    run = RunDirectory(folder)
    if not run.probability_path.is_file():
        return JunkSection(Markup())
    probability = np.asarray(load_array(run.probability_path, dimensions=1), dtype=np.float64)
    if not len(probability):
        return JunkSection(Markup())
    junk = int((~is_trusted(probability)).sum())
    told_apart = bool((probability < ALIKE).any())
    picture = probability_histogram(probability, TRUSTED) if told_apart else None
    html = render(
        "section_junk.html.j2",
        count=f"{junk:,}",
        total=f"{len(probability):,}",
        share=percent(junk / len(probability)),
        clean=junk == 0,
        groups=_examples(run, probability) if told_apart else [],
        picture=picture,
        folder=str(folder),
    )
    pictures = () if picture is None else (picture,)
    return JunkSection(html, pictures, junk, junk / len(probability))


def surest(probability: FloatArray, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the least and of the most probable particles; of many alike, spread over the file."""
    spread = np.random.default_rng(0).random(len(probability))
    order = np.lexsort((spread, probability))
    count = min(count, len(order) // 2)
    return order[:count], order[len(order) - count :][::-1]


def _examples(run: RunDirectory, probability: FloatArray) -> list[tuple[str, list[Example]]]:
    place = run.particles_path
    if not ((place / PARTICLES).is_file() and (place / IMAGES).is_file()):
        return []
    particles = PreparedParticles.open(place)
    if len(particles) != len(probability):
        return []
    groups = zip(("least probable", "most probable"), surest(probability, EXAMPLES), strict=True)
    return [
        (title, [_example(particles, probability, int(row)) for row in rows])
        for title, rows in groups
        if len(rows)
    ]


def _example(particles: PreparedParticles, probability: FloatArray, row: int) -> Example:
    image = particles.images([row])[0].numpy()
    return Example(
        str(particles.names[row]),
        _rounded(float(probability[row])),
        tile(image),
        tile(filtered(image, particles.pixel_size_angstrom)),
    )


def _rounded(probability: float) -> str:
    if probability < SMALLEST:
        return f"below {SMALLEST}"
    return f"{probability:.2g}" if probability < 1 - 5 * SMALLEST else "1.0"
