"""The pages as HTML: what they show comes later, as data."""

from __future__ import annotations

from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, JSONResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class Refusal(NamedTuple):
    """Why a request is refused, in words that a person can act on."""

    status: HTTPStatus
    title: str
    problem: str
    cure: str


REFUSALS = {
    "host": Refusal(
        HTTPStatus.FORBIDDEN,
        "This dashboard answers to localhost alone",
        "The address in your browser names another computer, or a name that leads to this one.",
        "On the computer where the dashboard runs, open the address that it printed in the "
        "terminal. From another computer, forward a port of your own first, for example "
        "ssh -L 9000:127.0.0.1:8765 COMPUTER with the port that was printed in place of 8765, and "
        "open http://localhost:9000/ with the ?token=... of the printed address.",
    ),
    "origin": Refusal(
        HTTPStatus.FORBIDDEN,
        "Another page asked",
        "A page of another address tried to use this dashboard through your browser.",
        "Open the address that the dashboard printed in the terminal, and work on that page.",
    ),
    "token": Refusal(
        HTTPStatus.FORBIDDEN,
        "The token is missing or of another dashboard",
        "The page can write into the run, so it opens to those alone who see where it was started.",
        "Open the whole address that the dashboard printed in the terminal: it ends in "
        "?token=... . The address of an earlier dashboard does not open a new one.",
    ),
    "method": Refusal(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "Not understood",
        "The dashboard answers to GET and POST alone.",
        "Open the address that the dashboard printed in the terminal.",
    ),
    "large": Refusal(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "The request is too large",
        "More than 4 MiB were sent.",
        "Draw a simpler lasso, or write a condition.",
    ),
    "slow": Refusal(
        HTTPStatus.REQUEST_TIMEOUT,
        "The request did not come whole in time",
        "The connection is very slow, or was cut.",
        "Try again.",
    ),
    "absent": Refusal(
        HTTPStatus.NOT_FOUND,
        "There is no such page",
        "The address is wrong, or the run has been removed.",
        "Go back to the first page.",
    ),
}


@lru_cache(maxsize=1)
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("cryoparts.dashboard", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
    )


def _render(template: str, status: HTTPStatus = HTTPStatus.OK, **values: object) -> HTMLResponse:
    return HTMLResponse(_environment().get_template(template).render(**values), status)


def refusal(request: Request, kind: str) -> Response:
    """The answer to a refused request: a page for people, JSON for the page's own program."""
    why = REFUSALS[kind]
    answer: Response
    if request.method == "GET" and "text/html" in request.headers.get("accept", "text/html"):
        answer = _render("refusal.html.j2", why.status, why=why)
    else:
        answer = JSONResponse({"error": f"{why.title}. {why.problem} {why.cure}"}, why.status)
    if kind in ("large", "slow"):
        answer.headers["Connection"] = "close"  # what else is sent is not read
    return answer


def go_on(address: str) -> HTMLResponse:
    """A page that opens another of this server."""
    return _render("go_on.html.j2", address=address)


def run_page(name: str, *, alone: bool) -> HTMLResponse:
    """The page of a run.

    Parameters
    ----------
    name : str
        Of its folder.
    alone : bool
        Whether there is no other run to go back to.
    """
    return _render("run.html.j2", name=name, alone=alone)


def index_page(name: str) -> HTMLResponse:
    """The page of a folder of runs.

    Parameters
    ----------
    name : str
        Of the folder.
    """
    return _render("index.html.j2", name=name)
