"""Scripts that pages carry with them: other people's (vendored, with licence) and shared ones."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent

MOLECULES = HERE / "vendored" / "3Dmol-min.js"
"""3Dmol.js 2.5.5 (BSD-3-Clause), which defines `$3Dmol`; from the npm package, unchanged."""

SURFACES = HERE / "surfaces.js"
"""Isosurfaces of compact volumes, which defines `Surfaces`."""


def inline_script(path: Path) -> str:
    """The text of a script so that it can stand inside a ``<script>`` element."""
    text = path.read_text(encoding="utf-8")
    # inside strings and comments of a script these are the same, and cannot end the element
    return text.replace("</script", "<\\/script").replace("<!--", "<\\!--")
