"""Chosen particles in the format of the file that a run was made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cryoparts.export.cryosparc import write_selected_cs
from cryoparts.export.relion import write_selected_star

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryoparts.io.run_directory import RunDirectory


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
    writers = {".star": write_selected_star, ".cs": write_selected_cs}
    write = writers.get(source.suffix.lower())
    if write is None:
        return None
    target = stem.with_name(stem.name + source.suffix.lower())
    write(source, names, target, config.symmetry)
    return target
