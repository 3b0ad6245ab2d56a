"""From what one reader found in its file to a checked `ParticleTable`.

Every reader fills `ParticleRows` with what its file says and leaves the rest
None; `assemble` finds the stacks, completes box and pixel size from their
headers, applies what the user gave, and checks the rules that hold for every
format.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cryoparts.conventions import Aberrations, CtfParameters, Poses, with_aberrations
from cryoparts.errors import InputError
from cryoparts.io.files import found_otherwise, locate_stacks
from cryoparts.particle_files.particle_table import ParticleTable
from cryoparts.particle_files.row_identity import notes_on_shared_images, row_names
from cryoparts.particle_files.stack_check import check_stacks

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    from numpy.typing import ArrayLike, NDArray

DEFAULT_AMPLITUDE_CONTRAST = 0.1
"""Usual for vitreous ice; taken, with a note, where the file gives none."""

ROTATION_TOLERANCE = 1e-3
ROWS_NAMED = 10
"""Rows that a message names."""
OPTIONAL_CTF = {
    "astigmatism_angle_degrees": 0.0,
    "phase_shift_degrees": 0.0,
    "b_factor": 0.0,
    "scale": 1.0,
}
CTF_LABELS = {
    "defocus_u_angstrom": "defocus U",
    "defocus_v_angstrom": "defocus V",
    "voltage_kv": "voltage",
    "spherical_aberration_mm": "spherical aberration",
}


@dataclass(frozen=True)
class ReadOptions:
    """What the user may say about a particle file.

    Parameters
    ----------
    datadir : Path, optional
        Where the stacks are now.
    pixel_size_angstrom : float, optional
        Å per pixel of every particle; overrides table and stacks.
    without_ctf : bool
        The images carry no CTF (projections, CTF-corrected images): every CTF is 1.
    require_stacks : bool
        When False, absent stacks are not an error and box sizes may stay 0.
    """

    datadir: Path | None = None
    pixel_size_angstrom: float | None = None
    without_ctf: bool = False
    require_stacks: bool = True


@dataclass(frozen=True)
class ParticleRows:
    """What a particle file says, in its own units; None where it does not say.

    Parameters
    ----------
    names : str array, shape (P,)
        As the file has them; rows of one image may share a name.
    recorded_stacks : tuple of str
        Stack names as written.
    stack_of_particle, slice_in_stack : int arrays, shape (P,)
        Index into `recorded_stacks`; 0-based image.
    rotation : array, shape (P, 3, 3), optional
    shift : array, shape (P, 2), optional
        Translation of the projection (not of the image), in `shift_unit`.
    shift_unit : str
        ``angstrom``, ``pixel`` or ``box``.
    ctf : dict of arrays (P,)
        Fields of `CtfParameters` that the file gives.
    pixel_size : array, shape (P,), optional
        Å per pixel.
    box_side_angstrom : array, shape (P,), optional
        Side of the box in Å, given instead of `pixel_size` where images may have
        been downsampled since.
    box_size, optics_group, half_set : arrays, shape (P,), optional
    phase_flipped : bool
    notes : tuple of str
    row : str
        What the file's rows are called in messages.
    image_names : str array, shape (P,), optional
        Names of the images, where `names` are those of the rows.
    aberrations : Aberrations, optional
    magnification : array, shape (P, 2, 2), optional
    unnumbered : bool array, shape (P,), optional
        Whether the file names a stack without an image in it.
    """

    names: NDArray[np.str_]
    recorded_stacks: tuple[str, ...]
    stack_of_particle: NDArray[np.int64]
    slice_in_stack: NDArray[np.int64]
    rotation: NDArray[np.float64] | None = None
    shift: NDArray[np.float64] | None = None
    shift_unit: Literal["angstrom", "pixel", "box"] = "angstrom"
    ctf: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    pixel_size: NDArray[np.float64] | None = None
    box_side_angstrom: NDArray[np.float64] | None = None
    box_size: NDArray[np.int64] | None = None
    optics_group: NDArray[np.int64] | None = None
    half_set: NDArray[np.int8] | None = None
    phase_flipped: bool = False
    notes: tuple[str, ...] = ()
    row: str = "particle"
    image_names: NDArray[np.str_] | None = None
    aberrations: Aberrations | None = None
    magnification: NDArray[np.float64] | None = None
    unnumbered: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.names)


def assemble(
    rows: ParticleRows, source: Path, file_format: str, options: ReadOptions
) -> ParticleTable:
    """Check and complete what a reader found.

    Raises
    ------
    InputError
        If there are no particles; poses, defocus, voltage or pixel size are
        absent or not finite; a stack is missing, too short, odd, or contradicts
        the table.
    """
    count = len(rows)
    if count == 0:
        raise InputError(str(source), "there are no particles in it", "Give a file with some.")
    notes = list(rows.notes)
    if rows.rotation is None:
        raise InputError(
            str(source),
            "it gives no orientations",
            "Give a file of a 3D refinement, or poses in cryoDRGN's format with --poses.",
        )
    _require_finite(rows.rotation, "orientation", source, rows.row)
    _require_rotations(rows.rotation, source, rows.row)
    paths = locate_stacks(
        rows.recorded_stacks, source, options.datadir, required=options.require_stacks
    )
    notes += found_otherwise(rows.recorded_stacks, paths)
    box, pixel = _geometry(rows, paths, source, options)
    shift = np.zeros((count, 2)) if rows.shift is None else rows.shift
    if rows.shift is None:
        notes.append("no in-plane shifts in the file: taken as 0")
    unit = {"angstrom": np.ones(count), "pixel": pixel, "box": pixel * box}[rows.shift_unit]
    shift_angstrom = shift * unit[:, None]
    _require_finite(shift_angstrom, "shift", source, rows.row)
    table = ParticleTable(
        names=row_names(rows.names),
        stack_paths=paths,
        stack_of_particle=rows.stack_of_particle,
        slice_in_stack=rows.slice_in_stack,
        poses=Poses(rows.rotation, shift_angstrom),
        ctf=ctf_of_ones(count) if options.without_ctf else _ctf(rows, source, notes),
        pixel_size_angstrom=pixel,
        box_size=box,
        optics_group=np.ones(count, np.int64) if rows.optics_group is None else rows.optics_group,
        half_set=np.zeros(count, np.int8) if rows.half_set is None else rows.half_set,
        source=source,
        format=file_format,
        phase_flipped=rows.phase_flipped,
        notes=tuple(notes),
        magnification=rows.magnification,
    )
    if table.image_count == count:
        return table
    named = rows.names if rows.image_names is None else rows.image_names
    # one name for one image, even where rows spell it differently (1@p.mrcs, 000001@p.mrcs)
    first = np.unique(table.image, return_index=True)[1]
    shared = notes_on_shared_images(table.image, table.poses.rotation, table.half_set)
    return replace(table, image_names=named[first][table.image], notes=(*table.notes, *shared))


def _geometry(
    rows: ParticleRows, paths: tuple[Path, ...], source: Path, options: ReadOptions
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Box and pixel size of every particle, checked against the stacks that exist."""
    given = options.pixel_size_angstrom
    if given is not None and not (np.isfinite(given) and given > 0):
        raise InputError("--pixel-size", f"must be positive, got {given}", "Give Å per pixel.")
    found = check_stacks(
        paths,
        rows.stack_of_particle,
        rows.slice_in_stack,
        rows.box_size,
        source,
        row=rows.row,
        required=options.require_stacks,
        unnumbered=rows.unnumbered,
    )
    box = found.box_size
    count = len(rows)
    if given is not None:
        return box, np.full(count, float(given))
    table = rows.pixel_size
    if rows.box_side_angstrom is not None and (box > 0).all():
        table = rows.box_side_angstrom / box
    if table is not None:
        bad = ~(np.isfinite(table) & (table > 0))
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"{source}, {rows.row} {first + 1}",
                f"the pixel size must be positive, it is {table[first]} ({_these(bad)})",
                "Correct the file or give Å per pixel with --pixel-size.",
            )
        found.check_pixel_size(table, source)
        return box, table
    stack_pixel = found.pixel_size
    if (stack_pixel > 0).all():
        return box, stack_pixel
    stack = paths[int(rows.stack_of_particle[int(np.flatnonzero(stack_pixel <= 0)[0])])]
    raise InputError(
        str(source),
        f"it gives no pixel size, nor does the header of {stack.name} (0 and 1.0 count as not set)",
        "Give Å per pixel with --pixel-size.",
    )


def _ctf(rows: ParticleRows, source: Path, notes: list[str]) -> CtfParameters:
    count = len(rows)
    columns = dict(rows.ctf)
    missing = [label for name, label in CTF_LABELS.items() if name not in columns]
    if missing:
        raise InputError(
            str(source),
            f"it gives no {', no '.join(missing)}",
            "Give a file with the CTF, a CTF in cryoDRGN's format with --ctf, "
            "or --without-ctf if the images carry none.",
        )
    if "amplitude_contrast" not in columns:
        columns["amplitude_contrast"] = np.full(count, DEFAULT_AMPLITUDE_CONTRAST)
        notes.append(f"no amplitude contrast in the file: taken as {DEFAULT_AMPLITUDE_CONTRAST}")
    for name, value in OPTIONAL_CTF.items():
        columns.setdefault(name, np.full(count, value))
    for name, values in columns.items():
        _require_finite(values, CTF_LABELS.get(name, name.replace("_", " ")), source, rows.row)
    contrast = np.abs(columns["amplitude_contrast"])
    rules: tuple[tuple[str, NDArray[np.bool_], str, str], ...] = (
        ("voltage_kv", columns["voltage_kv"] > 0, "positive, in kV", "Correct the file."),
        (
            "amplitude_contrast",
            contrast <= 1,
            "between -1 and 1",
            "Divide by 100 if this is per cent." if contrast.min() > 1 else "Correct the file.",
        ),
    )
    for name, good, rule, cure in rules:
        if not good.all():
            first = int(np.flatnonzero(~good)[0])
            raise InputError(
                f"{source}, {rows.row} {first + 1}",
                f"{name} must be {rule}, it is {columns[name][first]:g}",
                cure,
            )
    ctf = CtfParameters(
        **{f.name: np.asarray(columns[f.name], dtype=np.float64) for f in fields(CtfParameters)}
    )
    return with_aberrations(ctf, rows.aberrations)


def ctf_of_ones(count: int) -> CtfParameters:
    """Parameters whose CTF is 1 everywhere: sin(asin(1)), no defocus, no aberration."""
    zero, one = np.zeros(count), np.ones(count)
    return CtfParameters(zero, zero, zero, np.full(count, 300.0), zero, one, zero, zero, one)


def _these(bad: NDArray[np.bool_]) -> str:
    """How many rows are bad, and which: all, or the first of many."""
    rows = (np.flatnonzero(bad) + 1).tolist()
    named = ", ".join(str(row) for row in rows[:ROWS_NAMED])
    more = "" if len(rows) <= ROWS_NAMED else ", ..."
    return f"1 such row: {named}" if len(rows) == 1 else f"{len(rows)} such rows: {named}{more}"


def _require_rotations(rotation: NDArray[np.float64], source: Path, row: str) -> None:
    away = np.einsum("pij,pkj->pik", rotation, rotation) - np.eye(3)
    bad = np.abs(away).max(axis=(1, 2), initial=0.0) > ROTATION_TOLERANCE
    bad = np.asarray(bad | (np.linalg.det(rotation) < 0))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{source}, {row} {first + 1}",
            "its orientation is no rotation: the matrix "
            f"{rotation[first].round(4).tolist()} must be orthonormal, with determinant 1 "
            f"({_these(bad)})",
            "Correct these rows or take them out of the file.",
        )


def _require_finite(values: NDArray[np.float64], what: str, source: Path, row: str) -> None:
    bad = np.asarray(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))
    if bad.any():
        raise InputError(
            f"{source}, {row} {int(np.flatnonzero(bad)[0]) + 1}",
            f"its {what} is not a number ({_these(bad)})",
            "Correct these rows or take them out of the file.",
        )


def group_stacks(paths: ArrayLike) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """The different stack names, in the order they first appear, and each row's index."""
    index, unique = pd.factorize(np.asarray(paths, dtype=object))
    return tuple(str(u) for u in unique), index.astype(np.int64)
