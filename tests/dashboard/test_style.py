"""The page's colours: those of the figures, and legible in light and in dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cryoparts import dashboard, palette

CSS = (Path(dashboard.__file__).parent / "static" / "dashboard.css").read_text(encoding="utf-8")


def variables(selector):
    """Colours of a block of the style sheet by name."""
    block = CSS[CSS.index(selector) :].partition("}")[0]
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))


LIGHT, DARK = variables(":root {"), variables(':root[data-theme="dark"]')


def luminance(colour):
    """Relative luminance (WCAG 2.2)."""
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return sum(w * v for w, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_light_colours_are_those_of_the_figures():
    assert LIGHT["ink"] == palette.INK
    assert LIGHT["line"] == palette.GRID
    assert LIGHT["accent"] == palette.ACCENT
    assert LIGHT["missing"] == palette.UNASSIGNED_COLOUR


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_is_legible(colours):
    for text in ("ink", "muted", "accent", "warning"):
        for ground in ("panel", "ground", "hover"):
            assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def test_both_themes_set_the_same():
    assert set(LIGHT) == set(DARK)
