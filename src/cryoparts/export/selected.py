"""Chosen particles in the format of the file that a run was made from."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from cryoparts.errors import InputError
from cryoparts.export.cryosparc import write_selected_cs
from cryoparts.export.relion import write_selected_star
from cryoparts.io.atomic import write_together
from cryoparts.selection.selection import require_selection_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.selection.selection import Selection

LOG = logging.getLogger(__name__)

WRITERS = {".star": write_selected_star, ".cs": write_selected_cs}
"""Formats of particle files by their suffix."""


def save_selection(run: RunDirectory, selection: Selection, name: str) -> tuple[Path, Path | None]:
    """Write selections/NAME.csv and .json and, as the run's particle file is, .star or .cs.

    A particle file that has moved is warned of, and does not keep the selection from being saved.

    Parameters
    ----------
    run : RunDirectory
    selection : Selection
    name : str
        One that is there is replaced.

    Returns
    -------
    Path
        The .csv.
    Path or None
        The particle file, where there is one.

    Raises
    ------
    InputError
        If the name cannot be a file's, or nothing is selected.
    """
    folder, written = run.selections_path, None
    particles = [f"{require_selection_name(name)}{suffix}" for suffix in WRITERS]
    with write_together(folder, last=f"{name}.csv", replaces=particles) as new:
        selection.save(new, name)
        try:
            written = write_selected(run, selection.names.tolist(), new / name)
        except InputError as fault:
            LOG.warning("the particles are listed by name only: %s", fault)
    return folder / f"{name}.csv", None if written is None else folder / written.name


def write_selected(run: RunDirectory, names: Iterable[str], stem: Path) -> Path | None:
    """Write the chosen particles as .star or .cs, as the run's particle file is.

    Parameters
    ----------
    run : RunDirectory
    names : iterable of str
        The particles' own names.
    stem : Path
        The new file without its suffix.

    Returns
    -------
    Path or None
        The new file; None for formats that are joined by the list of names alone.

    Raises
    ------
    InputError
        If the particle file has moved or lacks one of the particles.
    """
    config = run.config()
    source = Path(config.particles)
    write = WRITERS.get(source.suffix.lower())
    if write is None:
        return None
    target = stem.with_name(stem.name + source.suffix.lower())
    write(source, names, target, config.symmetry)
    return target
