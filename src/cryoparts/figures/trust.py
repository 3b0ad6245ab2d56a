"""Null particles against particles, and trainings against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.figures.pictures import new_figure, picture_of
from cryoparts.palette import INK, MUTED, part_colour, part_words
from cryoparts.validation.null_amplitude import RULE
from cryoparts.validation.trust_record import UNSTABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from cryoparts.figures.pictures import Picture
    from cryoparts.validation.null_amplitude import PartAgainstNull
    from cryoparts.validation.trust_record import PartTrust

MOST_SHOWN = 12
"""Parts with a panel of their own; the others are in the table."""

COLUMNS = 4
"""Panels side by side."""

MEASURES = (
    ("stability_subsamples", "subsamples: overlap"),
    ("stability_seeds", "seeds: overlap"),
    ("stability_halves", "half sets: overlap"),
    ("agreement_seeds", "seeds: correlation"),
    ("agreement_halves", "half sets: correlation"),
)


def null_against_data(parts: Sequence[PartAgainstNull], titles: Sequence[str]) -> Picture:
    """Histograms of each part's main change in the particles and in null particles.

    Parameters
    ----------
    parts : sequence of PartAgainstNull
        At least one; the first twelve are drawn.
    titles : sequence of str
        What they are called.
    """
    shown = list(zip(parts, titles, strict=True))[:MOST_SHOWN]
    columns = min(COLUMNS, len(shown))
    lines = -(-len(shown) // columns)
    with new_figure(2.6 * columns + 0.4, 2.1 * lines + 0.5) as figure:
        grid = figure.subplots(lines, columns, squeeze=False).ravel()
        for axes in grid[len(shown) :]:
            axes.set_axis_off()
        for axes, (part, title) in zip(grid, shown, strict=False):
            _histograms(axes, part, title)
        grid[0].legend(loc="upper right", handlelength=1.2)
        rest = len(parts) - len(shown)
        return picture_of(
            figure,
            "trust_null",
            "What each part does along its main change in particles that were not trained on "
            "(filled), and in null particles (line), which show the mean model with the same "
            "poses, CTFs and noise, so that nothing in them changes. A part is real only as far as "
            f"the particles spread more; above a null ratio of {RULE} it is flagged."
            + (f" {rest} more are not drawn." if rest > 0 else ""),
        )


def _histograms(axes: Axes, part: PartAgainstNull, title: str) -> None:
    both = np.concatenate([part.coordinate, part.null_coordinate])
    reach = max(float(np.quantile(np.abs(both), 0.995)), 1e-6)
    bins = np.linspace(-reach, reach, 31).tolist()
    colour = MUTED if part.flagged else part_colour(part.part)
    axes.hist(
        np.clip(part.coordinate, -reach, reach),
        bins,
        density=True,
        color=colour,
        alpha=0.6,
        label="particles",
    )
    axes.hist(
        np.clip(part.null_coordinate, -reach, reach),
        bins,
        density=True,
        histtype="step",
        color=INK,
        linewidth=1.3,
        label="null",
    )
    flag = ", flagged" if part.flagged else ""
    axes.set_title(f"{title}: null ratio {part.null_ratio:.2f}{flag}")
    axes.set(yticks=[], xlabel="change (1 = whole part, or 2 Å)")
    axes.grid(visible=False)
    axes.spines["left"].set_visible(False)


def found_again(parts: Sequence[PartTrust]) -> Picture | None:
    """How each part is found again; None where nothing was measured."""
    measured = [
        (key, title)
        for key, title in MEASURES
        if any(np.isfinite(getattr(part, key)) for part in parts)
    ]
    if not measured or not parts:
        return None
    with new_figure(2.3 * len(measured) + 1.6, 0.26 * len(parts) + 1.1) as figure:
        panels = figure.subplots(1, len(measured), sharey=True, squeeze=False)[0]
        rows = np.arange(len(parts))
        for axes, (key, title) in zip(panels, measured, strict=True):
            values = np.array([getattr(part, key) for part in parts])
            colours = [part_colour(number + 1) for number in range(len(parts))]
            axes.barh(rows, np.nan_to_num(np.clip(values, 0, 1)), color=colours, height=0.65)
            if "overlap" in title:
                axes.axvline(UNSTABLE, color=INK, linestyle="--", linewidth=1.0)
            axes.set(title=title, xlim=(0, 1))
            axes.grid(visible=False, axis="y")
        panels[0].set_yticks(rows, [part_words(part.name) for part in parts])
        panels[0].invert_yaxis()
        return picture_of(
            figure,
            "trust_stability",
            "How much of each part is found again (Jaccard overlap, 1 is all of it) when parts are "
            "sought in random halves of the particles with other seeds of the embedding and, where "
            "it was asked for, by trainings from other seeds and on each half set; and the "
            "correlation of what two trainings say of the part in the same particles. Left of the "
            "dashed line less than half is found again.",
        )


def half_set_errors(parts: Sequence[PartTrust]) -> Picture | None:
    """Difference of two half-set trainings against the size of each part's change."""
    kinds = [
        (error, size, title)
        for error, size, title in (
            ("amplitude_error_halves", "amplitude_change", "amount of the part (0 to 1)"),
            ("displacement_error_halves_angstrom", "displacement_rms_angstrom", "displacement (Å)"),
        )
        if any(getattr(part, error) > 0 for part in parts)
    ]
    if not kinds:
        return None
    with new_figure(4.2 * len(kinds) + 0.6, 0.34 * len(parts) + 1.3) as figure:
        panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        rows = np.arange(len(parts))
        for axes, (error, size, title) in zip(panels, kinds, strict=True):
            sizes = np.nan_to_num([getattr(part, size) for part in parts])
            errors = np.nan_to_num([getattr(part, error) for part in parts])
            axes.barh(rows - 0.18, sizes, height=0.34, color=INK, label="size of the change")
            axes.barh(rows + 0.18, errors, height=0.34, color=MUTED, label="half sets differ by")
            axes.set(title=title)
            axes.grid(visible=False, axis="y")
        panels[0].set_yticks(rows, [part_words(part.name) for part in parts])
        panels[0].invert_yaxis()
        panels[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
        return picture_of(
            figure,
            "trust_halves",
            "Two trainings, each on one half set, asked about the same particles: root mean square "
            "difference of the two (deformation error), beside the size of the change itself.",
        )
