"""`cryoparts report`: one page with every figure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoparts.cli.console import say
from cryoparts.cli.options import RunFolder
from cryoparts.export.chimerax import write_session_script
from cryoparts.io.run_directory import RunDirectory
from cryoparts.report.page import write_report

if TYPE_CHECKING:
    from pathlib import Path


def report(run: RunFolder) -> None:
    """Write report.html, figures/ as PNG, and a ChimeraX script that opens the result."""
    folder = RunDirectory.open(run)
    with folder.logging():
        report_run(folder)


def report_run(run: RunDirectory) -> Path:
    """Write the report of a run folder and say where it is."""
    script = write_session_script(run.root)
    page = write_report(run.root)
    say(f"ChimeraX: {script}")
    say(f"report: {page}")
    return page
