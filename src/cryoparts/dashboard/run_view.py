"""What the page of a run shows first: columns, views, parts, the model, saved selections."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree

from cryoparts.gaussians.model import GaussianModel
from cryoparts.palette import (
    GAINED_COLOUR,
    LOST_COLOUR,
    STATE_COLOURS,
    part_colour,
    part_title,
    state_shades,
)
from cryoparts.parts.part_labels import PartLabels
from cryoparts.selection.particle_columns import meaning
from cryoparts.selection.selection import (
    columns_with_selections,
    read_names,
    saved_selections,
    with_selections,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.selection.particle_columns import ParticleColumns

COUNTED_KINDS = ("state", "half", "selection", "optics_group")
"""Columns of whole numbers that are coloured one by one."""

SUFFIXES = (".csv", ".star", ".cs")
"""Of the files of a selection."""


@dataclass(frozen=True)
class RunView:
    """A run as its page sees it when it is loaded.

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
    def of(cls, run: RunDirectory) -> RunView:
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

    def refreshed(self) -> RunView:
        """The same with the selections that are saved now."""
        columns = with_selections(self.run, self.columns)
        return RunView(self.run, columns, self.model, self.labels)

    def content(self) -> dict[str, Any]:
        """Everything but the columns' values, as plain values."""
        return {
            "particles": len(self.columns),
            "columns": [self._column(name) for name in self.columns.values],
            "views": self._views(),
            "parts": self._parts(),
            "model": self._model(),
            "differences": {"more": GAINED_COLOUR, "less": LOST_COLOUR},
            "selections": self.selections(),
        }

    def _column(self, name: str) -> dict[str, Any]:
        """What the page must know of a column to draw it; colours of whole numbers from 1."""
        described: dict[str, Any] = {"name": name, "meaning": meaning(name), "colours": None}
        kind, _, of = name.partition(":")
        if kind in COUNTED_KINDS:
            described["colours"] = list(STATE_COLOURS)
        if kind == "state" and (one := re.fullmatch(r"part_(\d+)", of)):
            count = max(int(np.nanmax(self.columns.values[name])), 1)
            described["colours"] = state_shades(int(one[1]), count)
        return described

    def selections(self) -> list[dict[str, Any]]:
        """Saved selections, their sizes, and the files that there are of each."""
        saved = saved_selections(self.run)
        return [
            {
                "name": name,
                "count": len(read_names(path)),
                "files": [s for s in SUFFIXES if path.with_suffix(s).is_file()],
            }
            for name, path in saved.items()
        ]

    def _views(self) -> list[dict[str, str]]:
        """Pairs of columns to look at first: the latent space, then each focus."""
        known = self.columns.values
        views = []
        if "component:1" in known:
            y = "component:2" if "component:2" in known else "component:1"
            colour = next((column for column in known if column.startswith("state:")), "defocus")
            views.append({"title": "latent space", "x": "component:1", "y": y, "colour": colour})
            if "component:3" in known:
                space = {"x": "component:1", "y": "component:2", "z": "component:3"}
                views.append({"title": "latent space, 3-D", **space, "colour": colour})
        for column in known:
            kind, _, part = column.partition(":")
            if kind != "x":
                continue
            y = f"y:{part}"
            if np.ptp(known[y][np.isfinite(known[y])]) == 0:  # a line shows nothing of a crowd
                instead = (f"density:{part}", "component:1")
                y = next((column for column in instead if column in known), y)
            title = self.title(part)
            views.append({"title": title, "x": column, "y": y, "colour": f"state:{part}"})
        return views or [{"title": "CTF", "x": "defocus", "y": "half", "colour": "half"}]

    def title(self, parts: str) -> str:
        """What the user calls a part, or several: "arm + part_3" for ``part_2+part_3``."""
        return " + ".join(self._title(part) for part in parts.split("+"))

    def _title(self, part: str) -> str:
        number = int(part.removeprefix("part_"))
        known = self.labels is not None and number <= self.labels.n_parts
        return part_title(number, self.labels.name(number) if self.labels and known else "")

    def _parts(self) -> list[dict[str, Any]]:
        """The core and the parts, as rows of a list."""
        labels = self.labels
        if labels is None:
            return []
        return [
            {
                "part": part,
                "title": part_title(part, labels.name(part)),
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
            "radius": _ball_radius(self.model),
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


def _ball_radius(model: GaussianModel) -> float:
    """Radius (Å) at which neighbouring Gaussians, drawn as balls, just overlap."""
    positions = model.positions.astype(np.float64)
    if len(positions) < 2:
        return 5.0
    nearest, _ = cKDTree(positions).query(positions, k=2)
    return round(0.7 * float(np.median(nearest[:, 1])), 3)
