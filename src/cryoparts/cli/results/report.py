"""`cryoparts report`: one page with every figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoparts.cli.console import say
from cryoparts.cli.options import RunFolder

if TYPE_CHECKING:
    from cryoparts.pipeline.outputs import ReportWritten


def report(run: RunFolder) -> None:
    """Write report.html, figures/ as PNG, and a ChimeraX script that opens the result."""
    from cryoparts.pipeline.outputs import report_run
    from cryoparts.run.run import Run

    opened = Run.open(run)
    with opened.directory.logging():
        show_report(report_run(opened))


def show_report(written: ReportWritten) -> None:
    """Say in five lines what was found, how sure it is, where it is shown, what comes next."""
    for what, sentence in written.conclusion.lines():
        say(f"{what:<10}{sentence}")
