"""The two kinds of figure on the page, and the style that they share."""

from __future__ import annotations

import base64
import io
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cryoparts.palette import GRID, INK, MUTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

DPI = 130
"""Dots an inch of figures: sharp on a screen at the width of the page."""

STYLE: Any = {
    "font.family": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "image.interpolation": "nearest",
}


@dataclass(frozen=True)
class Picture:
    """A static figure: its file is ``figures/<name>.png``.

    Parameters
    ----------
    name : str
        File name without suffix.
    png : bytes
    caption : str
        What it shows, and how to read it.
    width : int
        Pixels at which the page shows it.
    """

    name: str
    png: bytes
    caption: str
    width: int

    @property
    def data_uri(self) -> str:
        """The PNG as an address that needs no network."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode("ascii")


@dataclass(frozen=True)
class View:
    """One choice of what a scene shows: a button and the traces it switches on."""

    title: str
    visible: tuple[bool, ...]


@dataclass(frozen=True)
class Scene:
    """A rotatable figure; `poster` stands in for it until it is drawn, in print, and as PNG.

    Parameters
    ----------
    json : str
        Plotly figure: data and layout.
    views : tuple of View
        Empty where there is nothing to choose.
    """

    poster: Picture
    json: str
    views: tuple[View, ...] = ()


@contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """A figure of the given size (inches) in the style of the page."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def picture_of(figure: Figure, name: str, caption: str, *, light: bool = False) -> Picture:
    """Render a figure; the page shows it at 100 pixels an inch.

    `light` keeps 256 colours, which makes shaded pictures three times smaller.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, facecolor="white")
    if light:
        drawn = _with_few_colours(drawn)
    return Picture(name, drawn.getvalue(), caption, round(100 * figure.get_figwidth()))


def _with_few_colours(png: io.BytesIO) -> io.BytesIO:
    small = io.BytesIO()
    with Image.open(png) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(small, "png", optimize=True)
    return small


def bare(axes: Axes) -> None:
    """Take ticks, spines and grid away, for images."""
    axes.set_axis_off()
