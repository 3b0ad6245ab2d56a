"""From what the page asks for to chosen particles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.selection.selection import (
    Selection,
    read_names,
    saved_selections,
    select_in_view,
    select_inside,
    select_where,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryoparts.dashboard.run_view import RunView

JOINS = ("and", "or", "minus")


def choose(view: RunView, request: Mapping[str, Any]) -> tuple[Selection, int]:
    """The particles that a request asks for, and of how many it cannot be told.

    Parameters
    ----------
    view : RunView
    request : dict
        Either ``{"condition": text}`` or ``{"lasso": {"x": column, "y": column, "corners":
        [[x, y], ...]}}``, in space ``{"lasso": {"x", "y", "z", "view": (2, 4), "corners"}}``
        with corners on the screen that `view` leads to; with ``{"join": "and" | "or" |
        "minus", "with": selection}`` joined to a saved selection: "minus" takes the new
        particles away from the saved ones.

    Raises
    ------
    InputError
        If the request is not of this form, or a column or selection is unknown.
    """
    selection, unknown = _chosen(view, request)
    join = request.get("join")
    if join is None:
        return selection, unknown
    path = saved_selections(view.run).get(str(request.get("with")))
    if path is None or join not in JOINS:
        raise InputError(
            "the request",
            f"cannot join by {join!r} with the selection {request.get('with')!r}",
            f"Join by {', '.join(JOINS)} with a saved selection.",
        )
    columns = view.columns
    found = Selection.of(read_names(path), columns.names, str(path), columns.image_names)
    saved = Selection(found.all_names, found.chosen, {"selection": path.stem})
    if join == "minus":
        return saved - selection, unknown
    return (saved & selection if join == "and" else saved | selection), unknown


def _chosen(view: RunView, request: Mapping[str, Any]) -> tuple[Selection, int]:
    if isinstance(request.get("condition"), str):
        return select_where(request["condition"], view.columns)
    try:
        lasso = dict(request["lasso"])
        x, y = str(lasso["x"]), str(lasso["y"])
        corners = np.array(lasso["corners"], dtype=np.float64)
        screen = np.array(lasso["view"], dtype=np.float64) if "z" in lasso else None
    except (TypeError, KeyError, ValueError) as fault:
        raise InputError(
            "the request", "has neither a lasso nor a condition", "Reload the page."
        ) from fault
    if screen is None:
        return select_inside(view.columns, x, y, corners), 0
    return select_in_view(view.columns, (x, y, str(lasso["z"])), screen, corners), 0
