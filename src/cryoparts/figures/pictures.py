"""The two kinds of figure on the page, and the style that they share."""

from __future__ import annotations

import base64
import io
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from cryoparts.palette import GRID, INK, MUTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

DPI = 130
"""Dots an inch of figures: sharp on a screen at the width of the page."""

MOST_VECTOR_DOTS = 400
"""Dots of one kind that are drawn as vectors: more make a page slow."""

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
    svg : str
        The same as vectors, for ``figures/<name>.svg``; empty for what is pixels anyhow.
    """

    name: str
    png: bytes
    caption: str
    width: int
    svg: str = ""

    @property
    def data_uri(self) -> str:
        """The PNG as an address that needs no network."""
        return data_uri(self.png)

    @property
    def inline(self) -> str:
        """The SVG as an element of a page, in the colours of the page's theme; or empty."""
        return _themed(self.svg)


@dataclass(frozen=True)
class Scene:
    """A rotatable figure; `poster` stands in for it until it is drawn, in print, and as PNG.

    Parameters
    ----------
    poster : Picture
    json : str
        What the page's script draws; see ``report.js``.
    """

    poster: Picture
    json: str


@contextmanager
def new_figure(width: float, height: float) -> Iterator[Figure]:
    """A figure of the given size (inches) in the style of the page."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure


def picture_of(figure: Figure, name: str, caption: str, *, light: bool = False) -> Picture:
    """Render a figure; the page shows it at 100 pixels an inch.

    `light` is for shaded pictures: 256 colours, which makes them three times smaller, and no
    vectors.
    """
    _lay_out(figure)
    drawn = io.BytesIO()
    # what is reduced to few colours is not squeezed before
    squeezed = {"compress_level": 1} if light else None
    figure.savefig(drawn, format="png", dpi=DPI, facecolor="white", pil_kwargs=squeezed)
    width = round(100 * figure.get_figwidth())
    if light:
        return Picture(name, _with_few_colours(drawn).getvalue(), caption, width)
    return Picture(name, drawn.getvalue(), caption, width, _vectors(figure, name))


def _lay_out(figure: Figure) -> None:
    """Place the axes once; saving would draw the figure to place them, and once more to save it."""
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine("none")


def _vectors(figure: Figure, name: str) -> str:
    """The figure as SVG; what has very many dots stays pixels within it."""
    for axes in figure.axes:
        for dots in axes.collections:
            if len(np.atleast_2d(dots.get_offsets())) > MOST_VECTOR_DOTS:
                dots.set_rasterized(True)
    drawn = io.StringIO()
    # text stays text, and names within the file are the same each time
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(drawn, format="svg", dpi=DPI, transparent=True, metadata={"Date": None})
    return drawn.getvalue()


def _themed(svg: str) -> str:
    """An SVG file as an inline element: without prologue, its greys those of the page."""
    if not svg:
        return ""
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'<g id="[^"]*"', "<g", element)
    element = re.sub(r' (width|height)="[\d.]+pt"', "", element, count=2)
    for colour, name in ((INK, "ink"), (MUTED, "muted"), (GRID, "line")):
        element = element.replace(colour, f"var(--{name})")
    return element.replace("'DejaVu Sans'", "'DejaVu Sans', Verdana, sans-serif")


def data_uri(png: bytes) -> str:
    """A PNG as an address that needs no network."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def small_png(image: NDArray[np.uint8]) -> bytes:
    """An RGBA image (rows, columns, 4) as a PNG of 128 colours, transparent where it is."""
    small = io.BytesIO()
    few = Image.fromarray(image).quantize(128, method=Image.Quantize.FASTOCTREE)
    few.save(small, "png", optimize=True)
    return small.getvalue()


def _with_few_colours(png: io.BytesIO) -> io.BytesIO:
    small = io.BytesIO()
    with Image.open(png) as image:
        few = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        few.save(small, "png", optimize=True)
    return small


def bare(axes: Axes) -> None:
    """Take ticks, spines and grid away, for images."""
    axes.set_axis_off()
