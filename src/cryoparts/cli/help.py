"""What --help shows: verbs in the order of the work, and the options that matter first."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import attrs
from cyclopts import Group
from cyclopts.help import DefaultFormatter, InlineText
from rich.text import Text

if TYPE_CHECKING:
    from typing import Any

    from cyclopts.help import HelpEntry, HelpPanel
    from rich.console import Console, ConsoleOptions

GROUPS = {
    "start": Group("Start", sort_key=1),
    "analyse": Group("Parts, and what they do", sort_key=2),
    "results": Group("Results, and out to other programs", sort_key=3),
    "truth": Group("Where the truth is known", sort_key=4),
}
"""Panels of verbs, by the folder of the verb."""

INPUT = Group("Input", sort_key=1)
MODEL = Group("Model", sort_key=2)
TRAINING = Group("Training", sort_key=3)
PARTS = Group("Parts and states", sort_key=4)
OUTPUT = Group("Output", sort_key=5)

MAIN = frozenset(
    f"--{name}"
    for name in (
        *("particles", "datadir", "passthrough", "poses", "ctf", "pixel-size", "selection"),
        *("symmetry", "box-size", "model", "n-gaussians", "model-pixel-size"),
        *("vary", "max-resolution", "decoder", "preset", "epochs", "half", "seed", "threads"),
        *("device", "states", "order", "output", "resume", "b-factor"),
    )
)
"""Options of `run` and `train` that most users set or should know of; --help-all has the rest."""

BRIEF = ("run", "train")
"""Verbs with so many options that --help shows the main ones."""

EXAMPLES = {
    None: (
        "cryoparts check particles.star --model map.mrc",
        "cryoparts run particles.star --model map.mrc -o runs/first",
    ),
    "run": (
        "cryoparts run Refine3D/job042/run_data.star --model model.cif -o runs/first",
        "cryoparts run J42_particles.cs --passthrough J42_passthrough_particles.cs \\\n"
        "      --datadir /data/P3 --model J42_volume_map.mrc -o runs/first",
    ),
    "train": (
        "cryoparts train particles.star --model map.mrc -o runs/first --vary amplitude",
        "cryoparts train particles.star --model map.mrc -o runs/half_1 --half 1",
    ),
}

NOTHING = {"False", "()", "None"}
"""Defaults that say no more than the absence of the option does."""


def epilogue(verb: str | None) -> str:
    """Examples, and the flags that every verb understands."""
    lines = []
    if verb in EXAMPLES:
        lines += ["Examples:", *(f"  {example}" for example in EXAMPLES[verb]), ""]
    if verb in BRIEF:
        lines.append("--help-all lists every option.")
    lines += [
        "With every verb: -q, --quiet shows warnings and errors alone; -v, --verbose shows more;",
        "--processes N shares the work among N processes (auto: all cores, where it is worth it);",
        "--memory GIB bounds its memory.",
    ]
    return "\n".join(lines)


def brief_help(verb: str | None) -> DefaultFormatter:
    """How the help of a verb is drawn; None draws every option."""
    return _Help(MAIN if verb in BRIEF else None)


class _Help(DefaultFormatter):
    """Panels without the options that are not `shown`, and texts without their source's breaks."""

    def __init__(self, shown: frozenset[str] | None) -> None:
        super().__init__()
        self._shown = shown

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Draw a panel."""
        entries = [_tidy(entry) for entry in panel.entries if self._is_shown(entry)]
        if entries:
            super().__call__(console, options, attrs.evolve(panel, entries=entries))

    def render_description(
        self, console: Console, options: ConsoleOptions, description: Any
    ) -> None:
        """Draw what a verb says of itself: its paragraphs, broken where the terminal ends."""
        text = getattr(description, "primary_renderable", None)
        if isinstance(text, Text):
            paragraphs = re.split(r"\n\s*\n", text.plain.strip())
            flowing = "\n\n".join(re.sub(r"\s*\n\s*", " ", one) for one in paragraphs)
            description = InlineText(Text(flowing), force_empty_end=True)
        super().render_description(console, options, description)

    def _is_shown(self, entry: HelpEntry) -> bool:
        names = entry.positive_names
        return self._shown is None or not names or bool(self._shown.intersection(names))


def _tidy(entry: HelpEntry) -> HelpEntry:
    changes: dict[str, Any] = {}
    text = getattr(entry.description, "primary_renderable", None)
    if isinstance(text, Text):
        changes["description"] = InlineText(Text(re.sub(r"\s*\n\s*", " ", text.plain)))
    if entry.default is not None and str(entry.default) in NOTHING:
        changes["default"] = None
    return attrs.evolve(entry, **changes)
