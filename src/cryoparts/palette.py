"""The colours of every figure: told apart with any kind of colour vision, and in print."""

from __future__ import annotations

import re

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

DARKEST, LIGHTEST = 0.26, 0.58
"""Shares of black in the colour of a part's first state, and of white in that of its last."""

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


def part_title(label: int, name: str = "") -> str:
    """What a part is called in text and legends: "part 3", or "part 3, arm" with a user's name."""
    if label < 0:
        return "unassigned"
    number = "core" if label == 0 else f"part {label}"
    return number if name in ("", "core", f"part_{label}") else f"{number}, {name}"


def part_words(name: str) -> str:
    """A name in files as people read it: "part_3" is "part 3", a user's name stays."""
    return re.sub(r"^(part|state|group)_(\d+)$", r"\1 \2", name)


def mixed(colour: str, other: str, share: float) -> str:
    """`colour` with a share (0 to 1) of another one, both "#rrggbb"."""
    pairs = ((int(colour[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round((1 - share) * a + share * b):02x}" for a, b in pairs)


def state_shades(label: int, count: int) -> list[str]:
    """Colours of a part's states: the part's own, from dark (state 1) to light (the last).

    Hues mean parts and nothing else; how light one is says which state of the part.
    """
    own = part_colour(label)
    places = [0.5] if count == 1 else [i / (count - 1) for i in range(count)]
    return [
        mixed(own, "#000000", DARKEST * (1 - 2 * at))
        if at < 0.5
        else mixed(own, "#ffffff", LIGHTEST * (2 * at - 1))
        for at in places
    ]


def state_colour(state: int) -> str:
    """Colour of a state (1-based), recycled after seven."""
    return STATE_COLOURS[(state - 1) % len(STATE_COLOURS)]
