"""Chosen particles: how they are chosen, joined, saved and read back."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from skimage.measure import points_in_poly

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_text
from cryoparts.io.names import rows_of_names
from cryoparts.io.tables import read_table, write_table
from cryoparts.selection.particle_columns import ParticleColumns, read_columns
from cryoparts.selection.selection_expression import Truth, evaluate

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    from cryoparts.io.run_directory import RunDirectory

    FloatArray = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}", re.ASCII)


@dataclass(frozen=True)
class Selection:
    """Some of the P particles of a run.

    Parameters
    ----------
    all_names : str array, shape (P,)
        The run's particles, in its order.
    chosen : bool array, shape (P,)
    made_by : dict
        How it was made: plain values for the .json.
    """

    all_names: NDArray[np.str_]
    chosen: BoolArray
    made_by: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.chosen.shape != self.all_names.shape or self.chosen.dtype != bool:
            raise ValueError(
                f"{len(self.all_names)} particles need as many booleans, got {self.chosen.dtype} "
                f"of shape {self.chosen.shape}"
            )

    def __len__(self) -> int:
        return int(self.chosen.sum())

    @property
    def names(self) -> NDArray[np.str_]:
        """Names of the chosen particles, in the order of the run."""
        return self.all_names[self.chosen]

    def __and__(self, other: Selection) -> Selection:
        return self._joined(other, self.chosen & self._same(other), "and")

    def __or__(self, other: Selection) -> Selection:
        return self._joined(other, self.chosen | self._same(other), "or")

    def __sub__(self, other: Selection) -> Selection:
        return self._joined(other, self.chosen & ~self._same(other), "minus")

    def __invert__(self) -> Selection:
        return Selection(self.all_names, ~self.chosen, {"complement of": self.made_by})

    def _same(self, other: Selection) -> BoolArray:
        if not np.array_equal(self.all_names, other.all_names):
            raise ValueError("selections of different runs cannot be joined")
        return other.chosen

    def _joined(self, other: Selection, chosen: BoolArray, how: str) -> Selection:
        return Selection(self.all_names, chosen, {how: [self.made_by, other.made_by]})

    def save(self, folder: Path, name: str) -> Path:
        """Write ``<name>.csv`` (column `name`) and ``<name>.json``; returns the first.

        Raises
        ------
        InputError
            If the name cannot be a file's, or nothing is selected.
        """
        require_selection_name(name)
        if not self.chosen.any():
            raise InputError(
                f"selection {name}", "no particle is selected", "Choose another condition."
            )
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{name}.csv"
        write_table(target, {"name": self.names})
        record = {
            "name": name,
            "particles": len(self),
            "of": len(self.all_names),
            "made_by": self.made_by,
        }
        text = json.dumps(record, indent=2, ensure_ascii=False)
        write_text(folder / f"{name}.json", text + "\n")
        return target

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        run_names: NDArray[np.str_],
        where: str,
        image_names: NDArray[np.str_] | None = None,
    ) -> Self:
        """The particles called `names`; the name of a shared image means all its rows.

        Raises
        ------
        InputError
            If one of them is not in the run; the message counts and names them.
        """
        return cls(run_names, named_rows(names, run_names, where, "the run", image_names))


def named_rows(
    names: Sequence[str],
    run_names: NDArray[np.str_],
    where: str,
    container: str,
    image_names: NDArray[np.str_] | None = None,
) -> BoolArray:
    """Mask (P,) of the particles called `names`, all of which must be there.

    Where several rows show one image (`image_names`), its name means all of them.

    Raises
    ------
    InputError
        If one of `names` is not in `run_names`.
    """
    wanted = np.unique(np.array(list(names), dtype=np.str_))
    chosen = np.zeros(len(run_names), dtype=bool)
    if image_names is not None:
        # a row's own name comes first: an image's may be spelled like one of its rows'
        images = np.intersect1d(np.setdiff1d(wanted, run_names), image_names)
        chosen = np.isin(image_names, images)
        wanted = np.setdiff1d(wanted, images)
    cure = "Give a selection of the same particle file."
    chosen[rows_of_names(run_names, wanted, where, container=container, cure=cure)] = True
    return chosen


def read_names(path: Path) -> list[str]:
    """Names of a selection: the column `name` of a .csv.

    Raises
    ------
    InputError
        If there is no such file, no such column, no name in it, or one occurs twice.
    """
    cure = "Give a .csv with a column `name`, as `cryoparts select` writes it."
    if not path.is_file():
        raise InputError(str(path), "there is no such selection", cure)
    names: list[str] = read_table(path, ["name"], cure=cure)["name"].tolist()
    if not names:
        raise InputError(str(path), "names no particle", cure)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise InputError(str(path), f"names {twice[0]} more than once", "Name it once.")
    return names


def require_selection_name(name: str) -> str:
    """`name` if a selection can be called so.

    Raises
    ------
    InputError
        If it holds more than letters, digits, `_` and `-`.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            "the selection's name",
            f"a selection cannot be called {name!r}",
            "Use up to 80 letters, digits, _ and -, for example left_over.",
        )
    return name


def saved_selections(run: RunDirectory) -> dict[str, Path]:
    """The .csv files of a run's selections by their names."""
    return {path.stem: path for path in sorted(run.selections_path.glob("*.csv"))}


def columns_with_selections(run: RunDirectory) -> ParticleColumns:
    """`read_columns`, and each saved selection as a column ``selection:<name>`` of 0 and 1.

    Raises
    ------
    InputError
        As `read_columns`, or if a selection names particles that are not in the run.
    """
    return with_selections(run, read_columns(run))


def with_selections(run: RunDirectory, columns: ParticleColumns) -> ParticleColumns:
    """The columns with the selections that are saved now, in place of those of before.

    Raises
    ------
    InputError
        If a selection names particles that are not in the run.
    """
    values = {k: v for k, v in columns.values.items() if not k.startswith("selection:")}
    for name, path in saved_selections(run).items():
        made = Selection.of(read_names(path), columns.names, str(path), columns.image_names)
        values[f"selection:{name}"] = made.chosen.astype(np.float64)
    return replace(columns, values=values)


def select_where(expression: str, columns: ParticleColumns) -> tuple[Selection, int]:
    """The particles that satisfy a condition, and of how many it cannot be told.

    Those of which it cannot be told, because they lack a value, are not selected.

    Raises
    ------
    InputError
        See `cryoparts.selection.selection_expression.evaluate`.
    """
    truth: Truth = evaluate(expression, columns)
    unknown = int(truth.unknown.sum())
    made_by = {"condition": expression, "undecided": unknown}
    return Selection(columns.names, truth.true, made_by), unknown


def select_inside(columns: ParticleColumns, x: str, y: str, polygon: ArrayLike) -> Selection:
    """The particles inside a polygon drawn in the plane of two columns (a lasso).

    Parameters
    ----------
    columns : ParticleColumns
    x, y : str
        Columns that the axes show.
    polygon : array, shape (n, 2)
        Corners, in the columns' units.

    Raises
    ------
    InputError
        If a column is unknown or the polygon has fewer than three corners.
    """
    points = np.column_stack([columns.column(x), columns.column(y)])
    corners = _polygon(polygon)
    made_by = {"lasso": {"x": x, "y": y, "corners": corners.tolist()}}
    return Selection(columns.names, _inside(points, corners), made_by)


def select_in_view(
    columns: ParticleColumns, axes: Sequence[str], view: ArrayLike, polygon: ArrayLike
) -> Selection:
    """The particles inside a polygon drawn on a view of the space of three columns.

    Parameters
    ----------
    columns : ParticleColumns
    axes : sequence of str
        The three columns.
    view : array, shape (2, 4)
        A particle at (x, y, z) is seen at ``view @ (x, y, z, 1)``: an orthographic view.
    polygon : array, shape (n, 2)
        Corners, where they are seen.

    Raises
    ------
    InputError
        If a column is unknown, the view is no such matrix, or the polygon has fewer than
        three corners.
    """
    screen = np.asarray(view, dtype=np.float64)
    if screen.shape != (2, 4) or not np.isfinite(screen).all():
        raise InputError("the lasso", "has no view of three columns", "Draw it again.")
    points = np.column_stack([columns.column(axis) for axis in axes])
    corners = _polygon(polygon)
    seen = points @ screen[:, :3].T + screen[:, 3]
    made_by = {"lasso": {"axes": list(axes), "view": screen.tolist(), "corners": corners.tolist()}}
    return Selection(columns.names, _inside(seen, corners), made_by)


def _polygon(corners: ArrayLike) -> FloatArray:
    polygon = np.asarray(corners, dtype=np.float64)
    if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3:
        raise InputError("the lasso", "needs at least three corners", "Draw it again.")
    if not np.isfinite(polygon).all():
        raise InputError("the lasso", "has a corner that is no place", "Draw it again.")
    return polygon


def _inside(points: FloatArray, corners: FloatArray) -> BoolArray:
    """Mask (P,) of the points inside a polygon; what has no value is outside."""
    known = np.isfinite(points).all(axis=1)
    inside = np.zeros(len(points), dtype=bool)
    inside[known] = points_in_poly(points[known], corners)
    return inside
