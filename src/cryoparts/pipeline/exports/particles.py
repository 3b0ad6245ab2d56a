"""Files of chosen particles for RELION, cryoSPARC, EMAN2 and cryoDRGN."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from cryoparts.errors import InputError
from cryoparts.export.classes import Classes, selection_as_class, states_as_classes
from cryoparts.export.cryodrgn import (
    require_one_row_an_image,
    write_ctf,
    write_indices,
    write_latent,
    write_poses,
)
from cryoparts.export.cryosparc import write_result_group, write_selected_cs
from cryoparts.export.eman2 import write_selected_lst
from cryoparts.export.relion import write_selected_star
from cryoparts.io.atomic import write_together
from cryoparts.io.names import rows_of_names
from cryoparts.particle_files.relion_writing import write_relion
from cryoparts.particle_files.row_identity import COPY_MARK
from cryoparts.pipeline.progress import Progress, silent
from cryoparts.pipeline.start import open_particles
from cryoparts.selection.selection import named_rows, read_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoparts.particle_files.particle_table import ParticleTable
    from cryoparts.run.run import Run

Program = Literal["relion", "cryosparc", "eman2", "cryodrgn"]
PROGRAMS: tuple[Program, ...] = get_args(Program)

OWN: dict[str, Program] = {".star": "relion", ".cs": "cryosparc", ".lst": "eman2"}
"""The program that a particle file comes from, by its suffix; cryoDRGN's stacks have any other."""


@dataclass(frozen=True)
class ParticlesExported:
    """Files for one program.

    Parameters
    ----------
    program : str
    files : tuple of Path
    particles : tuple of int
        In each of the files.
    """

    program: Program
    files: tuple[Path, ...]
    particles: tuple[int, ...]


def own_program(run: Run) -> Program:
    """The program that the run's particles come from."""
    return OWN.get(Path(run.config.particles).suffix.lower(), "cryodrgn")


def classes_of_parts(run: Run, parts: Sequence[int]) -> list[Classes]:
    """The states of each of several parts.

    Raises
    ------
    InputError
        If a part has no states yet.
    """
    return [states_as_classes(f"part_{part}", run.states(part)) for part in parts]


def class_of_selection(run: Run, name: str) -> Classes:
    """The particles of a selection, by its name or its .csv file.

    Raises
    ------
    InputError
        If there is none, or it names a particle that the run has not.
    """
    path = run.directory.selections_path / f"{name}.csv"
    if not path.is_file():
        path = Path(name)
    names = run.particles.names
    chosen = named_rows(read_names(path), names, str(path), str(run.root))
    return selection_as_class(path.stem, names[chosen])


def export_particles(
    run: Run,
    classes: Sequence[Classes],
    programs: Sequence[Program],
    folder: Path,
    progress: Progress = silent,
) -> tuple[ParticlesExported, ...]:
    """Write the particles of every class, and of all classes together, for each program.

    Rows of the program that the particles came from are copied as they stand; only the class
    is new. For RELION and cryoDRGN, files are made from the particles of other programs as well.

    Parameters
    ----------
    run : Run
    classes : sequence of Classes
        `classes_of_parts`, `class_of_selection`.
    programs : sequence of str
        "relion", "cryosparc", "eman2", "cryodrgn".
    folder : Path
        The files lie in a folder of it for each program.
    progress : callable
        Told how many files are done.

    Raises
    ------
    InputError
        If the particle file has moved or lacks a particle, or a program's files cannot be
        made from it.
    """
    made = []
    for program in programs:
        place = folder / program
        _require_possible(run, program)
        with write_together(place) as new:
            if program == "cryodrgn":
                written = _for_cryodrgn(run, classes, new)
            else:
                written = _for_program(run, program, classes, new, progress)
        files = tuple(place / path.name for path in written.files)
        made.append(replace(written, files=files))
    return tuple(made)


def _for_program(
    run: Run, program: Program, classes: Sequence[Classes], folder: Path, progress: Progress
) -> ParticlesExported:
    files, counts = [], []
    for number, one in enumerate(classes):
        progress(f"writing for {program}", number, len(classes))
        for stem, names in one.files().items():
            files.append(_write(run, program, one, names, folder / stem))
            counts.append(len(names))
    return ParticlesExported(program, tuple(files), tuple(counts))


def _require_possible(run: Run, program: Program) -> None:
    source, own = run.config.particles, own_program(run)
    if program == own or program in ("relion", "cryodrgn"):
        return
    cures = {
        "cryosparc": "Export for RELION: cryoSPARC's Import Particle Stack reads that .star file.",
        "eman2": "Export for RELION and give that file to e2convertrelion.py: EMAN2 keeps the CTF "
        "in its own stacks.",
    }
    raise InputError(
        f"--to {program}", f"the particles of this run come from {source}", cures[program]
    )


def _write(
    run: Run, program: Program, classes: Classes, names: NDArray[np.str_], stem: Path
) -> Path:
    source, symmetry = Path(run.config.particles), run.config.symmetry
    chosen = names.tolist()
    if program == "eman2":
        target = stem.with_name(f"{stem.name}.lst")
        write_selected_lst(source, chosen, target)
        return target
    if program == "cryosparc":
        target = stem.with_name(f"{stem.name}.cs")
        write_selected_cs(source, chosen, target, symmetry, classes.by_name)
        beside = _passthrough(run, chosen, stem)
        write_result_group(stem.with_name(f"{stem.name}.csg"), [target, *beside], stem.name)
        return target
    target = stem.with_name(f"{stem.name}.star")
    if own_program(run) == "relion":
        write_selected_star(source, chosen, target, symmetry, classes.by_name)
        return target
    table = open_particles(run.config).table
    rows = np.sort(rows_of_names(table.names, names, str(table.source)))
    numbers = np.array([classes.by_name[name] for name in table.names[rows].tolist()])
    write_relion(target, table.take(rows), numbers)
    return target


def _passthrough(run: Run, chosen: Sequence[str], stem: Path) -> list[Path]:
    """The chosen rows of the files with the columns that the first lacks: CTF, images."""
    if run.config.symmetry is not None or any(COPY_MARK in name for name in chosen):
        return []  # copies of a particle share its rows there
    written = []
    for number, source in enumerate(run.config.passthrough, start=1):
        written.append(stem.with_name(f"{stem.name}_passthrough_{number}.cs"))
        write_selected_cs(Path(source), chosen, written[-1])
    return written


def _for_cryodrgn(run: Run, classes: Sequence[Classes], folder: Path) -> ParticlesExported:
    """poses.pkl and ctf.pkl of the whole file, z.pkl of the run, indices of each class."""
    table = _whole_table(run)
    require_one_row_an_image(table)
    of_run = rows_of_names(table.names, run.particles.names, str(table.source))
    files = [folder / name for name in ("poses.pkl", "ctf.pkl", "z.pkl")]
    write_poses(files[0], table)
    write_ctf(files[1], table)
    write_latent(files[2], run.latent)
    counts = [len(table), len(table), len(of_run)]
    if len(of_run) < len(table):
        files.append(folder / "ind.pkl")
        write_indices(files[-1], of_run)
        counts.append(len(of_run))
    for one in classes:
        for stem, names in one.files().items():
            files.append(folder / f"ind_{stem}.pkl")
            write_indices(files[-1], np.sort(rows_of_names(table.names, names, str(table.source))))
            counts.append(len(names))
    return ParticlesExported("cryodrgn", tuple(files), tuple(counts))


def _whole_table(run: Run) -> ParticleTable:
    """All particles of the run's file, those that the run was not made of too."""
    return open_particles(replace(run.config, selection=None)).table
