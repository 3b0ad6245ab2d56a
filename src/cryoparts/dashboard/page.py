"""What the dashboard shows and does: columns, views, the model, and choosing particles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.palette import STATE_COLOURS, part_colour
from cryoparts.parts.part_labels import PartLabels
from cryoparts.selection.particle_columns import meaning
from cryoparts.selection.selection import (
    Selection,
    columns_with_selections,
    read_names,
    saved_selections,
    select_inside,
    select_where,
    with_selections,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.selection.particle_columns import ParticleColumns

COUNTED_KINDS = ("state", "half", "selection", "optics_group")
"""Columns of whole numbers that are coloured one by one."""

JOINS = ("and", "or", "minus")


@dataclass(frozen=True)
class Dashboard:
    """A run as the dashboard sees it when its page is loaded.

    Parameters
    ----------
    run : RunDirectory
    columns : ParticleColumns
    model : GaussianModel
    labels : PartLabels or None
        None where parts have not been found yet.
    """

    run: RunDirectory
    columns: ParticleColumns
    model: GaussianModel
    labels: PartLabels | None

    @classmethod
    def of(cls, run: RunDirectory) -> Dashboard:
        """Read what a run has made so far.

        Raises
        ------
        InputError
            If the run has no particles yet, or a file of it cannot be read.
        """
        has_parts = (run.parts_path / "labels.npy").is_file()
        return cls(
            run,
            columns_with_selections(run),
            GaussianModel.load(run.require(run.gaussians_path, "cryoparts run")),
            PartLabels.load(run.parts_path) if has_parts else None,
        )

    def refreshed(self) -> Dashboard:
        """The same with the selections that are saved now."""
        columns = with_selections(self.run, self.columns)
        return Dashboard(self.run, columns, self.model, self.labels)

    def page(self, token: str) -> str:
        """The page, which asks for everything else by itself.

        Parameters
        ----------
        token : str
            What the page must send along to be answered.
        """
        environment = Environment(
            loader=PackageLoader("cryoparts.dashboard", "templates"),
            autoescape=True,
            undefined=StrictUndefined,
        )
        content = json.dumps(self.content() | {"token": token}).replace("<", "\\u003c")
        return environment.get_template("dashboard.html.j2").render(
            name=self.run.root.resolve().name, content=Markup(content)
        )

    def content(self) -> dict[str, Any]:
        """Everything but the columns' values, as plain values."""
        return {
            "particles": len(self.columns),
            "columns": [
                {"name": name, "meaning": meaning(name), "counted": name.startswith(COUNTED_KINDS)}
                for name in self.columns.values
            ],
            "views": self._views(),
            "parts": self._parts(),
            "model": self._model(),
            "stateColours": list(STATE_COLOURS),
            "selections": self.selections(),
        }

    def selections(self) -> list[dict[str, Any]]:
        """Saved selections and their sizes."""
        saved = saved_selections(self.run)
        return [{"name": name, "count": len(read_names(path))} for name, path in saved.items()]

    def _views(self) -> list[dict[str, str]]:
        """Pairs of columns to look at first: the latent space, then each focus."""
        known = self.columns.values
        views = []
        if "component:1" in known:
            y = "component:2" if "component:2" in known else "component:1"
            colour = next((column for column in known if column.startswith("state:")), "defocus")
            views.append({"title": "latent space", "x": "component:1", "y": y, "colour": colour})
        for column in known:
            kind, _, part = column.partition(":")
            if kind != "x":
                continue
            y = f"y:{part}"
            if np.ptp(known[y][np.isfinite(known[y])]) == 0:  # a line shows nothing of a crowd
                instead = (f"density:{part}", "component:1")
                y = next((column for column in instead if column in known), y)
            title = " + ".join(self._title(name) for name in part.split("+"))
            views.append({"title": title, "x": column, "y": y, "colour": f"state:{part}"})
        return views or [{"title": "CTF", "x": "defocus", "y": "half", "colour": "half"}]

    def _title(self, part: str) -> str:
        if self.labels is None:
            return part
        number = int(part.removeprefix("part_"))
        return self.labels.name(number) if number <= self.labels.n_parts else part

    def _parts(self) -> list[dict[str, Any]]:
        """The core and the parts, as rows of a list."""
        labels = self.labels
        if labels is None:
            return []
        return [
            {
                "part": part,
                "title": labels.name(part),
                "colour": part_colour(part),
                "gaussians": int(members.sum()),
                "amplitude": float(labels.amplitude_change[members].mean()),
                "displacement": float(
                    np.sqrt((labels.displacement_rms_angstrom[members] ** 2).mean())
                ),
            }
            for part in range(labels.n_parts + 1)
            if (members := labels.members(part)).any()
        ]

    def _model(self) -> dict[str, Any]:
        """The Gaussians' positions (Å), sizes and part."""
        of_part = np.zeros(len(self.model), dtype=np.int64)
        if self.labels is not None:
            of_part = self.labels.labels
        x, y, z = np.round(self.model.positions.astype(np.float64), 2).T
        return {
            "x": x.tolist(),
            "y": y.tolist(),
            "z": z.tolist(),
            "part": of_part.tolist(),
            "colours": {str(label): part_colour(label) for label in np.unique(of_part).tolist()},
        }

    def values(self, column: str) -> NDArray[np.float32]:
        """A column (P,) for drawing.

        Raises
        ------
        InputError
            If there is no such column.
        """
        return self.columns.column(column).astype(np.float32)

    def choose(self, request: dict[str, Any]) -> tuple[Selection, int]:
        """The particles that a request asks for, and of how many it cannot be told.

        Parameters
        ----------
        request : dict
            Either ``{"lasso": {"x": column, "y": column, "corners": [[x, y], ...]}}`` or
            ``{"condition": text}``; with ``{"join": "and" | "or" | "minus", "with":
            selection}`` joined to a saved selection: "minus" takes the new particles
            away from the saved ones.

        Raises
        ------
        InputError
            If the request is not of this form, or a column or selection is unknown.
        """
        selection, unknown = self._chosen(request)
        join = request.get("join")
        if join is None:
            return selection, unknown
        path = saved_selections(self.run).get(str(request.get("with")))
        if path is None or join not in JOINS:
            raise InputError(
                "the request",
                f"cannot join by {join!r} with the selection {request.get('with')!r}",
                f"Join by {', '.join(JOINS)} with a saved selection.",
            )
        found = Selection.of(
            read_names(path), self.columns.names, str(path), self.columns.image_names
        )
        saved = Selection(found.all_names, found.chosen, {"selection": path.stem})
        if join == "minus":
            return saved - selection, unknown
        return (saved & selection if join == "and" else saved | selection), unknown

    def _chosen(self, request: dict[str, Any]) -> tuple[Selection, int]:
        if isinstance(request.get("condition"), str):
            return select_where(request["condition"], self.columns)
        try:
            lasso = dict(request["lasso"])
            x, y = str(lasso["x"]), str(lasso["y"])
            corners = np.array(lasso["corners"], dtype=np.float64)
        except (TypeError, KeyError, ValueError) as fault:
            raise InputError(
                "the request", "has neither a lasso nor a condition", "Reload the page."
            ) from fault
        return select_inside(self.columns, x, y, corners), 0
