"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import Any


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3 h 20 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def counted(number: int, noun: str) -> str:
    """``1 part``, ``3 parts``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def percent(share: float) -> str:
    """Whole percents, one decimal below ten."""
    return f"{100 * share:.0f}%" if share >= 0.0995 else f"{100 * share:.1f}%"


def signed_percent(change: float) -> str:
    """``+4.2%``."""
    return f"{100 * change:+.1f}%"


def amount(share: float) -> str:
    """How much of a part is there: never less than nothing, whatever the noise says."""
    return percent(max(share, 0.0)) if share >= 0.0005 else "0%"


def listed(items: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def flattened(content: Any, prefix: str = "") -> list[tuple[str, str]]:
    """A nested dictionary as (path, value) lines, in its own order."""
    if isinstance(content, dict):
        lines = (
            flattened(value, f"{prefix} › {key}" if prefix else str(key))
            for key, value in content.items()
        )
        return [line for group in lines for line in group]
    if isinstance(content, list) and any(isinstance(item, (dict, list)) for item in content):
        numbered = {str(number): item for number, item in enumerate(content, start=1)}
        return flattened(numbered, prefix)
    return [(prefix, readable(content))]


def readable(value: Any) -> str:
    """A value in few characters: four significant digits, yes and no, a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if not math.isfinite(value):
            return "–"
        return f"{value:.4g}" if 1e-4 <= abs(value) < 1e5 or value == 0 else f"{value:.3e}"
    if isinstance(value, list):
        return ", ".join(readable(item) for item in value) or "–"
    return str(value)
