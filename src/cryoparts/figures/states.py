"""The states of one part: where the particles lie, what the part does in them, FSC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.figures.latent import draw_density, draw_states, state_legend
from cryoparts.figures.pictures import new_figure, picture_of
from cryoparts.palette import MUTED
from cryoparts.reconstruction.fsc import HALF_MAP_THRESHOLD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from cryoparts.figures.part_states import PartStates
    from cryoparts.figures.pictures import Picture

    FloatArray = NDArray[np.float64]


FLAT = 1e-6
"""A cloud with no more spread across than this share of its length is a line."""


def particle_states(part: PartStates) -> Picture:
    """The particles in the plane of the part, coloured by state, and what the part does in each."""
    quantities = [
        (part.relative_amplitude, "amount of the part (0 absent, 1 there)"),
        (part.displacement_angstrom, "displacement, r.m.s. (Å)"),
    ]
    measured = [(values, name) for values, name in quantities if values is not None]
    panels = 1 + len(measured)
    with new_figure(3.1 * panels + (0.9 if panels == 1 else 0.0), 3.2) as figure:
        grid = figure.subplots(1, panels, squeeze=False)[0]
        _draw_plane(grid[0], part)
        for axes, (values, name) in zip(grid[1:], measured, strict=True):
            _draw_histogram(axes, part, values, name)
        state_legend(figure, part.states, list(part.shades.values()))
        return picture_of(
            figure,
            f"part_{part.label}_particles",
            f"Left: the particles by what part {part.label} alone does in them. "
            + ("Right: how much of it is there, or how far it moves." if measured else ""),
        )


def _draw_plane(axes: Axes, part: PartStates) -> None:
    axes.set(
        title=f"Particles seen by part {part.label}",
        xlabel="axis 1 (arbitrary unit)",
        ylabel="axis 2 (arbitrary unit)",
    )
    points = part.focused.embedding
    if float(np.ptp(points[:, 1])) <= FLAT * float(np.ptp(points[:, 0])):
        # one number says it all: spread the dots so that they can be seen
        spread = np.random.default_rng(0).normal(size=len(points))
        points = np.column_stack([points[:, 0], spread])
        axes.set(ylabel="(spread at random)")
    if len(part.states) > 1:
        draw_states(axes, points, part.focused.states, part.shades)
    else:
        draw_density(axes, points)
    axes.tick_params(labelbottom=False, labelleft=False, length=0)


def _draw_histogram(axes: Axes, part: PartStates, values: FloatArray, name: str) -> None:
    finite = values[np.isfinite(values)]
    low, high = np.quantile(finite, [0.002, 0.998])
    edges = np.linspace(low, max(high, low + 1e-6), 41)
    groups = [np.clip(values[part.focused.states == s], edges[0], edges[-1]) for s in part.states]
    axes.hist(
        groups,
        bins=edges.tolist(),
        stacked=True,
        color=list(part.shades.values()),
    )
    axes.set(xlabel=name, ylabel="particles", title="What the part does")


def fsc_curves(part: PartStates) -> Picture:
    """Fourier shell correlation between the half maps of each state."""
    with new_figure(4.0, 2.6) as figure:
        axes = figure.subplots()
        for state, curve in part.fsc.items():
            shade = part.shades.get(state, MUTED)
            axes.plot(
                curve.frequency,
                curve.correlation,
                color=shade,
                label=f"state {state}: {part.resolution_text(state)}",
            )
            for values, line in ((curve.unmasked, ":"), (curve.randomised, "--")):
                if values is not None:
                    axes.plot(curve.frequency, values, color=shade, linestyle=line, lw=0.9)
        axes.axhline(HALF_MAP_THRESHOLD, color=MUTED, linestyle="--", linewidth=1)
        axes.annotate(
            "0.143",
            (0.0, HALF_MAP_THRESHOLD),
            xytext=(4, 3),
            textcoords="offset points",
            color=MUTED,
            fontsize=8,
        )
        axes.set(xlabel="spatial frequency (1/Å)", ylabel="half-map FSC", ylim=(-0.1, 1.05))
        axes.set_xlim(left=0.0)
        axes.legend(loc="upper right")
        return picture_of(
            figure,
            f"part_{part.label}_fsc",
            "Half maps of the same state agree up to the resolution where the solid curve, inside "
            "the mask and corrected for it, meets 0.143 (≤: as far as the voxels reach). Dotted: "
            "without a mask. Dashed, where it was needed: inside the mask with random phases.",
        )
