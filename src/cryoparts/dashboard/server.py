"""The web server, for the people of this computer who have its token."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Self

import uvicorn

from cryoparts.dashboard.access import Access, Guard
from cryoparts.dashboard.app import build_app
from cryoparts.dashboard.run_folders import RunFolders
from cryoparts.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "127.0.0.1"
"""This computer only: the page can write into the run folder."""


class DashboardServer:
    """Serves the dashboard of a run, or of a folder of runs, until it is shut down.

    The port is taken when the object is made; `close` gives it back.

    Parameters
    ----------
    folder : Path
    port : int
        0 takes a free one; `port` then says which.

    Raises
    ------
    InputError
        If the port is taken or not allowed, or there is nothing to show.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folders = RunFolders.of(folder)
        self.access = Access()
        self._socket = _listen(port)
        self.port = int(self._socket.getsockname()[1])
        self._server = uvicorn.Server(
            uvicorn.Config(
                Guard(build_app(self.folders), self.access),
                lifespan="off",
                http="h11",
                ws="none",
                log_level="critical",  # what fails is told by the application itself
                log_config=None,  # into the log, not onto the terminal
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where the page is, for whoever sees the terminal."""
        return f"http://{ADDRESS}:{self.port}/?token={self.access.token}"

    def url_for_once(self) -> str:
        """As `url`, for one use: other users may see a browser's command line."""
        return f"http://{ADDRESS}:{self.port}/?token={self.access.new_code()}"

    def serve_forever(self) -> None:
        """Answer until `shutdown`, or until Ctrl-C, which raises KeyboardInterrupt then."""
        self._server.run(sockets=[self._socket])

    def shutdown(self) -> None:
        """End `serve_forever`, which runs in another thread."""
        self._server.should_exit = True

    def close(self) -> list[str]:
        """Give the port back and end what was started from the page; returns what that was."""
        self._socket.close()
        return self.folders.close()

    def serving(self) -> threading.Thread:
        """Answer in a thread of its own, until `shutdown`."""
        thread = threading.Thread(target=self.serve_forever)
        thread.start()
        return thread


def _listen(port: int) -> socket.socket:
    """A socket that listens, so that who asks before the server runs is answered later."""
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ADDRESS, port))
        listening.listen(128)
    except (OSError, OverflowError) as fault:
        listening.close()
        reason = getattr(fault, "strerror", None) or str(fault)
        raise InputError(
            f"--port {port}",
            f"cannot be listened on: {reason}",
            "Another dashboard may be running there; give another --port, 0 takes a free one.",
        ) from fault
    return listening
