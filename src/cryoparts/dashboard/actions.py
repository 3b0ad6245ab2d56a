"""What the page of a run asks for and does, by the last part of the address."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.responses import Response

from cryoparts.dashboard.choosing import choose
from cryoparts.errors import InputError
from cryoparts.pipeline.particles import save_selection
from cryoparts.run.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from cryoparts.dashboard.run_folders import OpenRun

    Asked = Mapping[str, Any]
    Answer = Callable[[OpenRun, Asked], Response | dict[str, Any]]

LOG = logging.getLogger(__name__)


def numbers(values: NDArray[Any], kind: str = "<f4") -> Response:
    """Numbers as the page's programs read them: little-endian, row by row."""
    return Response(
        np.ascontiguousarray(values, kind).tobytes(), media_type="application/octet-stream"
    )


def mask(chosen: NDArray[np.bool_]) -> str:
    """A mask (P,) as bits in base64: 22 kB for 131,899 particles."""
    return base64.b64encode(np.packbits(chosen, bitorder="little").tobytes()).decode()


def content(run: OpenRun, _asked: Asked) -> dict[str, Any]:
    """The run as it is now: reloading the page shows what was computed meanwhile."""
    return {"name": run.name} | run.load().content()


def column(run: OpenRun, asked: Asked) -> Response:
    """Values of a column."""
    return numbers(run.view.values(str(asked.get("name", ""))))


def chosen(run: OpenRun, asked: Asked) -> dict[str, Any]:
    """The particles of a lasso or a condition."""
    selection, unknown = choose(run.view, asked)
    return {"count": len(selection), "undecided": unknown, "mask": mask(selection.chosen)}


def saved(run: OpenRun, asked: Asked) -> dict[str, Any]:
    """Write a selection, as `cryoparts select` does."""
    selection, _ = choose(run.view, asked)
    name = str(asked.get("name", ""))
    with run.writing:
        exists = any(known["name"] == name for known in run.view.selections())
        if exists and not asked.get("replace"):
            raise InputError(name, "there is a selection of this name", "Tick 'replace' to do so.")
        with run.directory.logging():
            made = save_selection(Run(run.directory), selection, name)
            LOG.info("%s: %d of %d particles", made.path, made.selected, made.total)
        known = run.reload_selections().content()
    return {
        "saved": str(made.path),
        "particle_file": None if made.particle_file is None else str(made.particle_file),
        "count": made.selected,
        "selections": known["selections"],
        "columns": known["columns"],
    }


QUESTIONS: dict[str, Answer] = {"content": content, "column": column}
ACTIONS: dict[str, Answer] = {"choose": chosen, "save": saved}
