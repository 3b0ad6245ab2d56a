"""Everything that a run says of each particle, as one table joined by the particles' names."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryoparts.errors import InputError
from cryoparts.io.tables import numbers, read_table
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.parts.part_labels import PartLabels
from cryoparts.statistics.principal_components import principal_scores

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.io.run_directory import RunDirectory

    FloatArray = NDArray[np.float64]

FOCUS_KINDS = {
    "amplitude": "mean_amplitude",
    "displacement": "displacement_rms_angstrom",
    "state": "state",
    "coordinate": "coordinate",
    "density": "density",
    "certainty": "certainty",
    "x": "x",
    "y": "y",
}
"""Columns of a part, and what they are called in focus/part_1/particles.csv."""

LARGEST = 1e100
"""Numbers of a latent vector are smaller, or it is damaged and tells nothing of the others."""

MOTION_KINDS = {"angle": "signed_angle_degrees", "residual": "residual_rms_angstrom"}

MEANING = {
    "amplitude": "mean relative amplitude of the part, 1 as in the neutral model",
    "displacement": "root mean square displacement of the part, Å",
    "state": "state of the part, 1 ...",
    "coordinate": "place along the part's first component, or along its curve from 0 to 1",
    "density": "fraction of the particles in sparser places of the part's cloud, 0 to 1",
    "certainty": "probability that the particle belongs to its state, 0 to 1",
    "x": "first axis of the part's embedding",
    "y": "second axis of the part's embedding",
    "angle": "signed angle of the part about its mean axis, degrees",
    "residual": "what of the part's motion is not rigid, root mean square, Å",
    "presence": "probability that the part is there, 0 to 1",
    "latent": "the latent vector's number",
    "component": "the latent vectors' principal component",
    "probability": "that the particle is what the model describes, in its given pose, 0 to 1",
    "defocus": "mean of the two defoci, Å",
    "half": "half set, 1 or 2; 0 where unknown",
    "optics_group": "optics group's number",
    "selection": "whether the particle is in the selection",
}

GROUP = re.compile(r"part_\d+(\+part_\d+)*")


@dataclass(frozen=True)
class ParticleColumns:
    """Named numbers of P particles.

    Parameters
    ----------
    names : str array, shape (P,)
        The particles' own names, in the order of the run.
    values : dict of float arrays, shape (P,)
        By column, ``amplitude:part_1`` for example; NaN where a particle has no value.
    aliases : dict
        Other names of parts (the user's), by theirs: {"arm": "part_1"}.
    image_names : str array, shape (P,), optional
        Names of the rows' images, where rows share images.
    """

    names: NDArray[np.str_]
    values: Mapping[str, FloatArray]
    aliases: Mapping[str, str]
    image_names: NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.names)

    def canonical(self, column: str) -> str:
        """The column's own name: ``amplitude:part_1`` for ``amplitude:part1``, ``amplitude:arm``.

        Raises
        ------
        InputError
            If there is no such column; the message lists all.
        """
        kind, _, of = column.partition(":")
        parts = [
            self.aliases.get(part) or re.sub(r"^(part_?)?(\d+)$", r"part_\2", part)
            for part in of.split("+")
        ]
        spellings = [column]
        if of and kind not in ("latent", "component", "selection"):
            spellings += [f"{kind}:{'+'.join(parts)}", f"{kind}:{'+'.join(sorted(parts))}"]
        for known in spellings:
            if known in self.values:
                return known
        raise InputError(
            f"column {column!r}",
            "there is no such column of particles in this run",
            f"{self._nearest(column)}Known columns: {self.known()}.",
        )

    def by_kind(self) -> dict[str, list[str]]:
        """What follows each kind of column: {"amplitude": ["part_1", ...], "defocus": [""]}."""
        kinds: dict[str, list[str]] = {}
        for name in self.values:
            kind, _, of = name.partition(":")
            kinds.setdefault(kind, []).append(of)
        return kinds

    def known(self) -> str:
        """All columns in one line; kinds that exist for the same parts stand together."""
        together: dict[tuple[str, ...], list[str]] = {}
        for kind, of in self.by_kind().items():
            together.setdefault(tuple(of), []).append(kind)
        return "; ".join(
            " or ".join(kinds) + (": of " + ", ".join(of) if of[0] else "")
            for of, kinds in together.items()
        )

    def _nearest(self, column: str) -> str:
        near = difflib.get_close_matches(column, list(self.values), n=1)
        return f"Is {near[0]} meant? " if near else ""

    def column(self, name: str) -> FloatArray:
        """Values (P,) of a column, under any of its names.

        Raises
        ------
        InputError
            If there is no such column.
        """
        return self.values[self.canonical(name)]

    def identity(self) -> dict[str, NDArray[np.str_]]:
        """The column `name` and, where rows share images, `image`."""
        named = {"name": self.names}
        return named if self.image_names is None else named | {"image": self.image_names}

    def frame(self) -> pd.DataFrame:
        """All columns as a table, with those of `identity` first."""
        return pd.DataFrame({**self.identity(), **self.values})


def meaning(column: str) -> str:
    """What a column says, in words."""
    kind, _, of = column.partition(":")
    if kind in ("latent", "component"):
        return f"{MEANING[kind]} {of}"
    return MEANING.get(kind, "")


def read_columns(run: RunDirectory) -> ParticleColumns:
    """Gather the columns of a run, as far as its steps have run.

    Raises
    ------
    InputError
        If the run has no particles yet, or a file of it cannot be read or names
        particles that the run has not.
    """
    run.require(run.particles_path, f"cryoparts train -o {run.root}")
    particles = PreparedParticles.open(run.particles_path)
    index = pd.Index(particles.names)
    values: dict[str, FloatArray] = {}
    for folder in _focus_folders(run):
        table = _read(folder / "particles.csv", index)
        for kind, column in FOCUS_KINDS.items():
            _add(values, f"{kind}:{folder.name}", table, column)
    for path in sorted(run.motion_path.glob("part_*.csv"), key=_by_number):
        table = _read(path, index)
        for kind, column in MOTION_KINDS.items():
            _add(values, f"{kind}:{path.stem}", table, column)
    if run.presence_path.is_file():
        table = _read(run.presence_path, index)
        for column in table.columns:
            if GROUP.fullmatch(str(column)):
                _add(values, f"presence:{column}", table, str(column))
    if run.latent_csv_path.is_file():
        table = _read(run.latent_csv_path, index)
        for axis, column in enumerate(table.columns, start=1):
            _add(values, f"latent:{axis}", table, str(column))
        for axis, component in enumerate(_components(table.to_numpy()).T, start=1):
            values[f"component:{axis}"] = component
    if run.probability_csv_path.is_file():
        _add(values, "probability", _read(run.probability_csv_path, index), "probability")
    ctf = particles.ctf
    values["defocus"] = 0.5 * (ctf.defocus_u_angstrom + ctf.defocus_v_angstrom).astype(np.float64)
    values["half"] = particles.half_set.astype(np.float64)
    values["optics_group"] = particles.optics_group.astype(np.float64)
    return ParticleColumns(particles.names, values, _aliases(run), particles.image_names)


def _focus_folders(run: RunDirectory) -> list[Path]:
    """Folders of single parts by number, then those of several parts."""
    found = [
        path.parent
        for path in (run.root / "focus").glob("*/particles.csv")
        if GROUP.fullmatch(path.parent.name)
    ]
    return sorted(found, key=lambda folder: (folder.name.count("+"), *_by_number(folder)))


def _by_number(path: Path) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", path.stem))


def _add(values: dict[str, FloatArray], name: str, table: pd.DataFrame, column: str) -> None:
    if column in table.columns:
        found = table[column].to_numpy(dtype=np.float64)
        if np.isfinite(found).any():
            values[name] = found


def _read(path: Path, index: pd.Index[Any]) -> pd.DataFrame:
    """A table's rows by the names of `index`; all NaN for particles that it lacks."""
    cure = "Run the step that writes it again."
    try:
        table = read_table(path, ["name"], cure=cure).set_index("name")
    except (OSError, ValueError, KeyError) as fault:
        raise InputError(str(path), f"is not a table of particles: {fault}", cure) from fault
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()][0]
        raise InputError(str(path), f"names {twice} more than once", cure)
    strangers = table.index.difference(index)
    if len(strangers):
        raise InputError(
            str(path),
            f"names {len(strangers)} particles that are not in the run, {strangers[0]} for one",
            cure,
        )
    for column in table.columns:
        table[column] = numbers(table, column, path, cure=cure)
    return table.reindex(index)


def _components(vectors: FloatArray) -> FloatArray:
    """Principal components (P, at most 3); NaN of particles whose vectors are not known."""
    known = (np.abs(vectors) < LARGEST).all(axis=1)
    scores = principal_scores(vectors[known], 3) if known.any() else np.zeros((0, 0))
    components = np.full((len(vectors), scores.shape[1]), np.nan)
    components[known] = scores
    return components


def _aliases(run: RunDirectory) -> dict[str, str]:
    if not (run.parts_path / "labels.npy").is_file():
        return {}
    labels = PartLabels.load(run.parts_path)
    own = {labels.name(part): f"part_{part}" for part in range(1, labels.n_parts + 1)}
    return {name: number for name, number in own.items() if name != number}
