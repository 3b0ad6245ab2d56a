"""What the page of a run asks for and does, by the last part of the address."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import FileResponse

from cryoparts.dashboard.answers import coded_mask, numbers
from cryoparts.dashboard.choosing import choose
from cryoparts.dashboard.curve import curve
from cryoparts.dashboard.maps import listed_maps, volume, volume_along, volume_of_particle
from cryoparts.dashboard.overview import verdict
from cryoparts.dashboard.particle import look_at_particle
from cryoparts.dashboard.run_view import SUFFIXES
from cryoparts.dashboard.summary import averages, gallery, populations
from cryoparts.errors import InputError
from cryoparts.pipeline.particles import save_selection
from cryoparts.run.run import Run
from cryoparts.selection.selection import saved_selections

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.responses import Response

    from cryoparts.dashboard.run_folders import OpenRun

    Asked = Mapping[str, Any]
    Answer = Callable[[OpenRun, Asked], Response | dict[str, Any]]

LOG = logging.getLogger(__name__)


def content(run: OpenRun, _asked: Asked) -> dict[str, Any]:
    """The run as it is now: reloading the page shows what was computed meanwhile."""
    view = run.load()
    return {"name": run.name, "maps": listed_maps(view), "trained": run.trained} | view.content()


def column(run: OpenRun, asked: Asked) -> Response:
    """Values of a column."""
    return numbers(run.view.values(str(asked.get("name", ""))))


def chosen(run: OpenRun, asked: Asked) -> dict[str, Any]:
    """The particles of a lasso or a condition."""
    selection, unknown = choose(run.view, asked)
    return {"count": len(selection), "undecided": unknown, "mask": coded_mask(selection.chosen)}


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
        source = run.directory.config().particles
    return {
        "file": str(made.particle_file or made.path),
        "by_name_only": made.particle_file is None and Path(source).suffix in SUFFIXES,
        "count": made.selected,
        "selections": known["selections"],
        "columns": known["columns"],
    }


def file(run: OpenRun, asked: Asked) -> Response:
    """A file of a saved selection, to be kept."""
    name, suffix = str(asked.get("name")), str(asked.get("suffix"))
    known = saved_selections(run.directory).get(name)
    path = None if known is None else known.with_suffix(suffix if suffix in SUFFIXES else ".csv")
    if path is None or not path.is_file():
        raise InputError(f"selection {name}", f"has no file {suffix}", "Save it first.")
    return FileResponse(path, filename=path.name)


def particle(run: OpenRun, asked: Asked) -> dict[str, Any]:
    """One particle."""
    return look_at_particle(run, _whole(asked, "row"))


def summary(run: OpenRun, asked: Asked) -> dict[str, Any]:
    """What chosen particles have in common."""
    selection, _ = choose(run.view, asked)
    return {
        "populations": populations(run.view, selection.chosen),
        "averages": averages(run, selection.chosen),
    }


def pictures(run: OpenRun, asked: Asked) -> dict[str, Any]:
    """Images of some of the chosen particles."""
    selection, _ = choose(run.view, asked)
    page = abs(_whole(asked, "page"))
    return gallery(run, selection.chosen, page, raw=bool(asked.get("raw")))


def along_curve(run: OpenRun, asked: Asked) -> dict[str, Any]:
    """The model along a part's curve."""
    return curve(run, _whole(asked, "part"))


def density(run: OpenRun, asked: Asked) -> dict[str, Any]:
    """A map: of the run by its key, at a place of a part's curve, or of a particle's model."""
    if "row" in asked:
        return volume_of_particle(run, _whole(asked, "row"))
    if "part" not in asked:
        return volume(run, str(asked.get("key", "")))
    part, point = _whole(asked, "part"), _whole(asked, "point")
    return volume_along(run, part, point, reconstructed=asked.get("source") == "maps")


def start(run: OpenRun, asked: Asked) -> dict[str, Any]:
    """Start a step."""
    return run.jobs.start(run.view, asked).report(0)


def stop(run: OpenRun, _asked: Asked) -> dict[str, Any]:
    """End the step that runs."""
    run.jobs.stop()
    return job(run, {})


def job(run: OpenRun, asked: Asked) -> dict[str, Any]:
    """How the latest step stands."""
    latest = run.jobs.latest
    return {} if latest is None else latest.report(_whole(asked, "after"))


def _whole(asked: Asked, name: str) -> int:
    try:
        return int(asked.get(name, 0))
    except (TypeError, ValueError, OverflowError) as fault:
        raise InputError("the request", f"{name} is no whole number", "Reload the page.") from fault


QUESTIONS: dict[str, Answer] = {
    "content": content,
    "column": column,
    "file": file,
    "particle": particle,
    "curve": along_curve,
    "volume": density,
    "job": job,
    "verdict": lambda run, _asked: verdict(run),
}
ACTIONS: dict[str, Answer] = {
    "choose": chosen,
    "save": saved,
    "summary": summary,
    "pictures": pictures,
    "start": start,
    "stop": stop,
}
