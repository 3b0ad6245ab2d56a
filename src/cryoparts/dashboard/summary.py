"""What chosen particles have in common: populations of every part, averages, some images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.dashboard.images import png

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.dashboard.run_folders import OpenRun
    from cryoparts.dashboard.run_view import RunView

    BoolArray = NDArray[np.bool_]

PAGE = 24
"""Particles shown at a time."""


def populations(view: RunView, chosen: BoolArray) -> list[dict[str, Any]]:
    """States and presence of every part among the chosen particles, and among all.

    Shares are of the particles that have a state.
    """
    values = view.columns.values
    found: list[dict[str, Any]] = []
    for name in values:
        kind, _, of = name.partition(":")
        if kind == "state":
            found.append(
                {"part": of, "title": view.title(of), "states": _states(values[name], chosen)}
            )
    by_part = {entry["part"]: entry for entry in found}
    for name in values:
        kind, _, of = name.partition(":")
        if kind != "presence":
            continue
        entry = by_part.get(of)
        if entry is None:
            entry = {"part": of, "title": view.title(of), "states": []}
            found.append(entry)
        entry["presence"] = _mean(values[name][chosen])
        entry["presence_of_all"] = _mean(values[name])
    return found


def _states(state: NDArray[np.float64], chosen: BoolArray) -> list[dict[str, Any]]:
    known = np.isfinite(state)
    among, all_of = state[known & chosen], state[known]
    return [
        {
            "state": int(number),
            "count": int((among == number).sum()),
            "share": _mean(among == number),
            "share_of_all": _mean(all_of == number),
        }
        for number in np.unique(all_of)
    ]


def _mean(values: NDArray[Any]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def averages(run: OpenRun, chosen: BoolArray) -> list[dict[str, Any]]:
    """Averages of the chosen particles by view, beside those of the others."""
    with run.computing:
        made = run.images.averages(chosen)
    return [
        {
            "chosen": None if view.chosen is None else png(view.chosen),
            "others": None if view.others is None else png(view.others),
            "chosen_count": view.chosen_count,
            "others_count": view.others_count,
        }
        for view in made
    ]


def gallery(run: OpenRun, chosen: BoolArray, page: int, *, raw: bool) -> dict[str, Any]:
    """Images of some of the chosen particles: each page has them from all over the selection.

    Parameters
    ----------
    run : OpenRun
    chosen : bool array, shape (P,)
    page : int
        0, 1, ...; the last is followed by the first.
    raw : bool
        As they are, not filtered.
    """
    rows = np.flatnonzero(chosen)
    pages = max(-(-len(rows) // PAGE), 1)
    shown = rows[page % pages :: pages][:PAGE]
    with run.computing:
        images = run.images.raw(shown) if raw else run.images.filtered(shown)
    names = run.view.columns.names
    return {
        "pages": pages,
        "page": page % pages,
        "images": [
            {"row": int(row), "name": str(names[row]), "picture": png(image)}
            for row, image in zip(shown, images, strict=True)
        ],
    }
