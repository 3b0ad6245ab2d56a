"""What each address of the dashboard answers."""

from __future__ import annotations

import json
import logging
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from cryoparts.browser import scripts
from cryoparts.dashboard.actions import ACTIONS, QUESTIONS
from cryoparts.dashboard.overview import listed_runs
from cryoparts.dashboard.pages import index_page, refusal, run_page
from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from cryoparts.dashboard.actions import Answer
    from cryoparts.dashboard.run_folders import OpenRun, RunFolders

LOG = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
SHARED = scripts.HERE
"""Scripts that the report has too; nothing else lies there but their licences and their list."""


def build_app(folders: RunFolders) -> Starlette:
    """The application of a folder of runs.

    Parameters
    ----------
    folders : RunFolders
    """
    pages = _Pages(folders)
    return Starlette(
        routes=[
            Route("/", pages.first),
            Route("/runs", pages.runs),
            Route("/run/{key}/", pages.run),
            Route("/run/{key}/{what}", pages.ask, methods=["GET"]),
            Route("/run/{key}/{what}", pages.act, methods=["POST"]),
            Mount("/static/browser", StaticFiles(directory=SHARED)),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={404: _absent, 405: _absent, InputError: _wrong, Exception: _failed},
    )


class _Pages:
    """Answers, each computed in a thread of its own: the server goes on meanwhile."""

    def __init__(self, folders: RunFolders) -> None:
        self._folders = folders

    async def first(self, request: Request) -> Response:
        """The only run, or the list of all."""
        alone = self._folders.alone
        if alone is not None:
            return RedirectResponse(f"/run/{alone.key}/")
        return index_page(self._folders.root.resolve().name)

    async def runs(self, _request: Request) -> Response:
        """The list as data."""
        return JSONResponse(await run_in_threadpool(listed_runs, self._folders))

    async def run(self, request: Request) -> Response:
        """The page of a run."""
        run = self._run(request)
        if run is None:
            return refusal(request, "absent")
        self._folders.visit(run)
        return run_page(run.name, alone=self._folders.alone is not None)

    async def ask(self, request: Request) -> Response:
        """What the page of a run shows."""
        return await self._answer(request, QUESTIONS, dict(request.query_params))

    async def act(self, request: Request) -> Response:
        """What the page of a run does."""
        return await self._answer(request, ACTIONS, _content(await request.body()))

    async def _answer(
        self, request: Request, answers: Mapping[str, Answer], asked: dict[str, Any]
    ) -> Response:
        run, answer = self._run(request), answers.get(request.path_params["what"])
        if run is None or answer is None:
            return refusal(request, "absent")
        found = await run_in_threadpool(answer, run, asked)
        return found if isinstance(found, Response) else JSONResponse(found)

    def _run(self, request: Request) -> OpenRun | None:
        return self._folders.get(request.path_params["key"])


def _content(body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as fault:
        raise InputError("the request", f"is not JSON: {fault}", "Reload the page.") from fault
    return content if isinstance(content, dict) else {}


async def _absent(request: Request, _fault: Exception) -> Response:
    return refusal(request, "absent")


async def _wrong(_request: Request, fault: Exception) -> Response:
    """Errors of the user are answered in words, and the page shows them."""
    return JSONResponse({"error": f"{fault}"}, 400)


async def _failed(request: Request, fault: Exception) -> Response:
    """A fault of the program itself: the terminal shows where, and the page says so."""
    where = "".join(traceback.format_exception(fault))
    LOG.warning("a fault of the dashboard, at %s:\n%s", request.url.path, where)
    said = f"The dashboard itself failed ({type(fault).__name__}): the terminal shows where."
    return JSONResponse({"error": said}, 500)
