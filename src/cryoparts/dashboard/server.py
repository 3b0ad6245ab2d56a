"""A small web server of one page, for the one person at this computer."""

from __future__ import annotations

import json
import logging
import secrets
from functools import lru_cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from plotly.offline import get_plotlyjs

from cryoparts.dashboard.page import Dashboard
from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.selection.selection import Selection

    Save = Callable[[RunDirectory, Selection, str], Path]

LOG = logging.getLogger(__name__)

ADDRESS = "127.0.0.1"
"""This computer only: the page can write into the run folder."""

LARGEST_REQUEST = 4 * 2**20
"""Bytes of a request that are read: a lasso of thousands of corners takes less than 1 MiB."""

TOKEN_HEADER = "X-Cryoparts-Token"


class DashboardServer(ThreadingHTTPServer):
    """Serves the dashboard of a run at http://127.0.0.1:<port>/ until it is shut down.

    Other pages of the browser cannot use it: requests must name this server as
    their host and carry a token that only the dashboard's own page knows.

    Parameters
    ----------
    run : RunDirectory
    save : callable
        Writes a selection under a name and returns the file.
    port : int
        0 takes a free one; `port` then says which.

    Raises
    ------
    InputError
        If the port is taken or not allowed, or the run has nothing to show.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, run: RunDirectory, save: Save, port: int) -> None:
        self.dashboard = Dashboard.of(run)
        self.save = save
        self.token = secrets.token_urlsafe(16)
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as fault:
            reason = getattr(fault, "strerror", None) or str(fault)
            raise InputError(
                f"--port {port}",
                f"cannot be listened on: {reason}",
                "Another dashboard may be running there; give another --port, 0 takes a free one.",
            ) from fault

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{ADDRESS}:{self.port}/"


@lru_cache(maxsize=1)
def _plotly() -> bytes:
    return str(get_plotlyjs()).encode()


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: DashboardServer
    server_version = "cryoparts"
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The page, the drawing library, a column."""
        if not self._own_host():
            return
        asked = urlsplit(self.path)
        if asked.path == "/":
            self._guarded(self._page)
        elif asked.path == "/plotly.js":
            self._answer(_plotly(), "text/javascript; charset=utf-8")
        elif asked.path == "/column":
            self._guarded(lambda: self._column(parse_qs(asked.query).get("name", [""])[0]))
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")

    def do_POST(self) -> None:
        """Choose particles, or save them."""
        if not self._own_host():
            return
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= LARGEST_REQUEST:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the request is empty or too long")
            return
        body = self.rfile.read(length)
        if not secrets.compare_digest(
            self.headers.get(TOKEN_HEADER, "").encode(), self.server.token.encode()
        ):
            self._refuse(HTTPStatus.FORBIDDEN, "the page is of an earlier dashboard: reload it")
            return
        actions = {"/choose": self._choose, "/save": self._save}
        action = actions.get(self.path)
        if action is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
            return
        self._guarded(lambda: action(_request(body)))

    def log_message(self, format: str, *args: Any) -> None:
        """Into the log, not onto the terminal."""
        LOG.debug(format, *args)

    def _page(self) -> None:
        """The page, of the run as it is now: reloading shows what was computed meanwhile."""
        self.server.dashboard = Dashboard.of(self.server.dashboard.run)
        page = self.server.dashboard.page(self.server.token)
        self._answer(page.encode(), "text/html; charset=utf-8")

    def _column(self, name: str) -> None:
        values = self.server.dashboard.values(name)
        self._answer(values.astype("<f4").tobytes(), "application/octet-stream")

    def _choose(self, request: dict[str, Any]) -> None:
        selection, unknown = self.server.dashboard.choose(request)
        rows = selection.chosen.nonzero()[0].tolist()
        self._answer_json({"count": len(rows), "undecided": unknown, "rows": rows})

    def _save(self, request: dict[str, Any]) -> None:
        selection, _ = self.server.dashboard.choose(request)
        name = str(request.get("name", ""))
        exists = any(known["name"] == name for known in self.server.dashboard.selections())
        if exists and not request.get("replace"):
            raise InputError(name, "there is a selection of this name", "Tick 'replace' to do so.")
        path = self.server.save(self.server.dashboard.run, selection, name)
        self.server.dashboard = self.server.dashboard.refreshed()
        content = self.server.dashboard.content()
        self._answer_json(
            {
                "saved": str(path),
                "count": len(selection),
                "selections": content["selections"],
                "columns": content["columns"],
            }
        )

    def _guarded(self, action: Callable[[], None]) -> None:
        """Errors of the user are answered in words, and the page shows them."""
        try:
            action()
        except InputError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"{error}")

    def _own_host(self) -> bool:
        known = {f"{host}:{self.server.port}" for host in (ADDRESS, "localhost")}
        if self.headers.get("Host") in known:
            return True
        self._refuse(HTTPStatus.FORBIDDEN, "open the dashboard by the address that it printed")
        return False

    def _answer_json(self, content: dict[str, Any]) -> None:
        self._answer(json.dumps(content).encode(), "application/json")

    def _refuse(self, status: HTTPStatus, problem: str) -> None:
        self.close_connection = True
        body = json.dumps({"error": problem}).encode()
        self._answer(body, "application/json", status)

    def _answer(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)


def _request(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except ValueError as fault:
        raise InputError("the request", f"is not JSON: {fault}", "Reload the page.") from fault
    return content if isinstance(content, dict) else {}
