"""The page of a run, and a ChimeraX script that opens its results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryoparts.export.chimerax import write_session_script
from cryoparts.report.page import write_report

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.run.run import Run


@dataclass(frozen=True)
class ReportWritten:
    """Where report and script are.

    Parameters
    ----------
    page : Path
        report.html.
    script : Path
        chimerax.cxc.
    """

    page: Path
    script: Path


def report_run(run: Run) -> ReportWritten:
    """Write report.html, figures/ and chimerax.cxc from what the run folder holds."""
    script = write_session_script(run.root)
    return ReportWritten(write_report(run.root), script)
