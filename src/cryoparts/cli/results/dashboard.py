"""`cryoparts dashboard`: an interactive page of a run, with a lasso."""

from __future__ import annotations

import webbrowser
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import say
from cryoparts.cli.options import RunFolder
from cryoparts.cli.results.select import show_selection

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.selection.selection import Selection

PORT = 8765
"""Port of this computer, above those that need rights; --port chooses another."""


Browser = Annotated[bool, Parameter(negative="--no-open-browser")]


def dashboard(run: RunFolder, *, port: int = PORT, open_browser: Browser = True) -> None:
    """Look at the particles and the parts in the browser; choose particles with a lasso.

    The page is served to this computer only, until Ctrl-C. From elsewhere, forward
    the port: ssh -L 8765:127.0.0.1:8765 COMPUTER.

    Parameters
    ----------
    run
        Folder of a run.
    port
        Port of this computer; 0 takes a free one.
    open_browser
        Open the page in the browser.
    """
    from cryoparts.dashboard.server import DashboardServer
    from cryoparts.io.run_directory import RunDirectory

    # The folder is locked while a selection is saved, not while the page is open: other steps
    # may run meanwhile.
    with DashboardServer(RunDirectory.open(run), _save, port) as server:
        say(f"dashboard of {run}: {server.url} (Ctrl-C ends it)")
        if open_browser:
            webbrowser.open(server.url)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("dashboard ended")


def _save(run: RunDirectory, selection: Selection, name: str) -> Path:
    from cryoparts.pipeline.particles import save_selection
    from cryoparts.run.run import Run

    with run.logging():
        saved = save_selection(Run(run), selection, name)
        show_selection(saved)
    return saved.path
