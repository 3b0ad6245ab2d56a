"""cryoDRGN's poses.pkl and ctf.pkl, with a stack or beside another particle file.

Conventions (checked against its own toy projections and real particles): the
rotation takes the reference to the image as ours does; the translation moves
the image onto the reference, as a fraction of the box, so the projection's
translation is its negative times the box. ctf.pkl has the columns
(box, Å per pixel, defocus U, defocus V, angle, kV, mm, amplitude contrast,
phase shift) and keeps the box of the original images when they are downsampled.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.files import locate_stacks, require_file
from cryoparts.io.mrc import open_stack
from cryoparts.io.pickles import read_arrays
from cryoparts.particle_files.assembly import ParticleRows, ReadOptions, assemble

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.particle_files.particle_table import ParticleTable

POSES_CURE = "Give a poses.pkl as `cryodrgn parse_pose_star` or `parse_pose_csparc` writes it."
CTF_CURE = "Give a ctf.pkl as `cryodrgn parse_ctf_star` or `parse_ctf_csparc` writes it."
CTF_FIELDS = (
    "defocus_u_angstrom",
    "defocus_v_angstrom",
    "astigmatism_angle_degrees",
    "voltage_kv",
    "spherical_aberration_mm",
    "amplitude_contrast",
    "phase_shift_degrees",
)
ROTATION_TOLERANCE = 1e-3
"""Largest element of R R^T - 1 of a rotation that was stored in single precision."""


def read_cryodrgn(
    path: Path,
    poses: Path | None,
    ctf: Path | None = None,
    options: ReadOptions | None = None,
) -> ParticleTable:
    """Read a stack with cryoDRGN's poses and CTF.

    Parameters
    ----------
    path : Path
        .mrcs or .mrc stack, or a .txt that lists stacks, one a line.
    poses, ctf : Path
        The .pkl files.
    options : ReadOptions, optional

    Raises
    ------
    InputError
        See `cryoparts.particle_files.assembly.assemble`; also if numbers of particles differ.
    """
    choice = options or ReadOptions()
    rows = with_pickles(read_stack_rows(path, choice.datadir), path, poses, ctf)
    return assemble(rows, path, "cryodrgn", choice)


def read_stack_rows(path: Path, datadir: Path | None = None) -> ParticleRows:
    """Rows for every image of a stack, or of the stacks that a .txt file lists."""
    require_file(path, "Give the path of the stack.")
    if path.suffix.lower() == ".txt":
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as fault:
            raise InputError(str(path), "not text", "List the stacks, one a line.") from fault
        recorded = [line.strip() for line in text.splitlines() if line.strip()]
        found = locate_stacks(recorded, path, datadir)
    else:
        recorded, found = [str(path.resolve())], (path,)
    counts = [len(open_stack(stack)) for stack in found]
    slices = [np.arange(count) for count in counts]
    names = [
        f"{number + 1:06d}@{name if path.suffix.lower() == '.txt' else path.name}"
        for name, count in zip(recorded, counts, strict=True)
        for number in range(count)
    ]
    return ParticleRows(
        names=np.array(names, dtype=np.str_),
        recorded_stacks=tuple(recorded),
        stack_of_particle=np.repeat(np.arange(len(counts)), counts),
        slice_in_stack=np.concatenate(slices) if slices else np.zeros(0, dtype=np.int64),
        row="image",
    )


def with_pickles(
    rows: ParticleRows, source: Path, poses: Path | None, ctf: Path | None
) -> ParticleRows:
    """`rows` with poses and CTF replaced by those of cryoDRGN's files, row by row.

    Raises
    ------
    InputError
        If a file is malformed or has another number of particles than `rows`.
    """
    if poses is not None:
        rotation, translation = _read_poses(poses)
        _same_count(poses, len(rotation), source, len(rows))
        rows = replace(rows, rotation=rotation, shift=-translation, shift_unit="box")
    if ctf is not None:
        table = _read_ctf(ctf)
        _same_count(ctf, len(table), source, len(rows))
        columns = {name: table[:, 2 + i] for i, name in enumerate(CTF_FIELDS)}
        side = table[:, 0] * table[:, 1]
        rows = replace(
            rows, ctf=columns, box_side_angstrom=side if rows.pixel_size is None else None
        )
    return rows


def _same_count(path: Path, count: int, source: Path, expected: int) -> None:
    if count != expected:
        raise InputError(
            str(path),
            f"it has {count} particles, {source} has {expected}; they are joined by position",
            "Give files of the same particles in the same order.",
        )


def _read_poses(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    arrays = [a.astype(np.float64) for a in read_arrays(path, POSES_CURE)]
    count = len(arrays[0]) if arrays else 0
    if not arrays or len(arrays) > 2 or arrays[0].shape != (count, 3, 3):
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise InputError(
            str(path),
            f"poses are rotations (P, 3, 3) and translations (P, 2), it holds {shapes}",
            POSES_CURE,
        )
    rotation = arrays[0]
    identity = np.einsum("pij,pkj->pik", rotation, rotation) - np.eye(3)
    off = np.abs(identity).max(axis=(1, 2), initial=0.0) > ROTATION_TOLERANCE
    off |= np.linalg.det(rotation) < 0
    if off.any():
        raise InputError(
            f"{path}, particle {int(np.flatnonzero(off)[0]) + 1}",
            "its matrix is not a rotation",
            POSES_CURE,
        )
    translation = arrays[1] if len(arrays) == 2 else np.zeros((count, 2))
    if translation.shape != (count, 2):
        raise InputError(
            str(path), f"translations must be ({count}, 2), are {translation.shape}", POSES_CURE
        )
    if np.abs(translation).max(initial=0.0) > 1:
        raise InputError(
            str(path),
            "translations must be fractions of the box (at most 1), the largest is "
            f"{np.abs(translation).max():.3g}",
            "These are pixels, from an old cryoDRGN: divide them by the box size.",
        )
    return rotation, translation


def _read_ctf(path: Path) -> NDArray[np.float64]:
    arrays = read_arrays(path, CTF_CURE)
    if len(arrays) != 1 or arrays[0].ndim != 2 or arrays[0].shape[1] != 9:
        shapes = ", ".join(str(a.shape) for a in arrays)
        raise InputError(
            str(path), f"the CTF is one array of 9 columns, it holds {shapes}", CTF_CURE
        )
    return arrays[0].astype(np.float64)
