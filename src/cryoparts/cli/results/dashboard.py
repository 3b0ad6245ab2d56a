"""`cryoparts dashboard`: an interactive page of a run, with a lasso."""

from __future__ import annotations

import webbrowser
from typing import Annotated

from cyclopts import Parameter

from cryoparts.cli.console import say
from cryoparts.cli.options import RunFolder

PORT = 8765
"""Port of this computer, above those that need rights; --port chooses another."""


Browser = Annotated[bool, Parameter(negative="--no-open-browser")]


def dashboard(run: RunFolder, *, port: int = PORT, open_browser: Browser = True) -> None:
    """Look at the particles and the parts in the browser; choose particles with a lasso.

    The page is served to this computer only, until Ctrl-C, and opens to whoever has the token
    of the printed address. From elsewhere, forward any port of yours: ssh -L
    9000:127.0.0.1:8765 COMPUTER, then open http://localhost:9000/?token=... .

    Parameters
    ----------
    run
        Folder of a run, or one that holds several runs.
    port
        Port of this computer; 0 takes a free one.
    open_browser
        Open the page in the browser.
    """
    from cryoparts.dashboard.server import DashboardServer

    # The folder is locked while a selection is saved, not while the page is open: other steps
    # may run meanwhile.
    with DashboardServer(run, port) as server:
        say(f"dashboard of {run}: {server.url} (Ctrl-C ends it)")
        if open_browser:
            webbrowser.open(server.url_for_once())
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say("dashboard ended")
            for title in server.close():
                say(f"stopped: {title}")
