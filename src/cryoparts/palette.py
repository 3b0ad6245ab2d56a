"""The colours of every figure: told apart with any kind of colour vision, and in print."""

from __future__ import annotations

CORE_COLOUR = "#9aa5b1"
"""The part of the molecule that does not change (label 0)."""

UNASSIGNED_COLOUR = "#d9dee4"
"""Gaussians in no part (label -1)."""

PART_COLOURS = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#d55e00",
    "#cc79a7",
    "#56b4e9",
    "#8c6d00",
    "#5e3c99",
    "#b8c400",
    "#7f2f2f",
)
"""Okabe and Ito's colours without black and yellow, and four that keep apart from them."""

STATE_COLOURS = ("#004488", "#ddaa33", "#bb5566", "#228833", "#66ccee", "#aa3377", "#555555")
"""Paul Tol's high-contrast colours and four more: states are not parts, and look otherwise."""

GAINED_COLOUR = "#2166ac"
LOST_COLOUR = "#b2182b"
"""Density that one state has more of, or less of, than another."""

INK = "#1f2933"
MUTED = "#66727f"
GRID = "#e4e8ed"
ACCENT = "#0072b2"
WARNING = "#d55e00"


def part_colour(label: int) -> str:
    """Colour of a part by its label (-1 unassigned, 0 core, 1.. parts), recycled after ten."""
    if label < 0:
        return UNASSIGNED_COLOUR
    return CORE_COLOUR if label == 0 else PART_COLOURS[(label - 1) % len(PART_COLOURS)]


def part_title(label: int) -> str:
    """What a part is called in text and legends."""
    if label < 0:
        return "unassigned"
    return "core" if label == 0 else f"part {label}"


def state_colour(state: int) -> str:
    """Colour of a state (1-based), recycled after seven."""
    return STATE_COLOURS[(state - 1) % len(STATE_COLOURS)]
