"""cryoSPARC .cs files, with passthrough files joined by uid.

Conventions: ``alignments3D/pose`` is a Rodrigues vector whose rotation takes
the image's axes to the reference's, so ours is its inverse; ``alignments3D/shift``
moves the image onto the reference, in pixels of ``alignments3D/psize_A``, so the
projection's translation is its negative; ``ctf/*`` angles are radians.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from cryosparc.dataset import Dataset
from scipy.spatial.transform import Rotation

from cryoparts.errors import InputError
from cryoparts.io.files import require_file
from cryoparts.particle_files.aberration_columns import (
    cryosparc_aberrations,
    cryosparc_magnification,
    cryosparc_notes,
)
from cryoparts.particle_files.assembly import ParticleRows, ReadOptions, assemble, group_stacks
from cryoparts.particle_files.other_inputs import require_cryosparc_particles

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.particle_files.particle_table import ParticleTable

CURE = "Give a cryoSPARC particle file (.cs) with blob/path and alignments3D/pose."
CTF_COLUMNS = {
    "ctf/df1_A": "defocus_u_angstrom",
    "ctf/df2_A": "defocus_v_angstrom",
    "ctf/df_angle_rad": "astigmatism_angle_degrees",
    "ctf/accel_kv": "voltage_kv",
    "ctf/cs_mm": "spherical_aberration_mm",
    "ctf/amp_contrast": "amplitude_contrast",
    "ctf/phase_shift_rad": "phase_shift_degrees",
    "ctf/bfactor": "b_factor",
}
RADIANS = {"ctf/df_angle_rad", "ctf/phase_shift_rad"}


def read_cryosparc(
    path: Path, options: ReadOptions | None = None, passthrough: Sequence[Path] = ()
) -> ParticleTable:
    """Read a cryoSPARC particle file.

    Parameters
    ----------
    path : Path
        The .cs file; its particles and their order are kept.
    options : ReadOptions, optional
    passthrough : sequence of Path
        Files that hold the columns that `path` lacks, joined by uid.

    Raises
    ------
    InputError
        See `cryoparts.particle_files.assembly.assemble`; also if a passthrough file lacks a
        uid of `path`, or a uid occurs twice.
    """
    rows = read_cryosparc_rows(path, passthrough)
    return assemble(rows, path, "cryosparc", options or ReadOptions())


def read_cryosparc_rows(path: Path, passthrough: Sequence[Path] = ()) -> ParticleRows:
    """What the .cs files say of the particles, before the stacks are looked at."""
    columns = _load(path)
    uid = _uid(path, columns)
    for further in passthrough:
        columns = _joined(path, uid, columns, further)
    require_cryosparc_particles(path, columns)
    if "blob/path" not in columns:
        raise InputError(
            str(path),
            "it has no column blob/path, which names the stacks",
            "Add the passthrough file of the same job with --passthrough.",
        )
    # ">" before a path marks a file that cryoSPARC reached through a link.
    recorded = [str(p).removeprefix(">") for p in columns["blob/path"]]
    stacks, stack_of_particle = group_stacks(recorded)
    place = _column(path, columns, "blob/idx").astype(np.int64)
    _require_one_image_a_uid(path, uid, stack_of_particle, place)
    pose = columns.get("alignments3D/pose")
    box = columns.get("blob/shape")
    group = columns.get("ctf/exp_group_id")
    return ParticleRows(
        names=uid.astype(np.str_),
        image_names=_image_names(stacks, stack_of_particle, place),
        recorded_stacks=stacks,
        stack_of_particle=stack_of_particle,
        slice_in_stack=place,
        rotation=(
            None
            if pose is None
            else Rotation.from_rotvec(pose.astype(np.float64)).inv().as_matrix()
        ),
        shift=_shift(path, columns),
        shift_unit="angstrom",
        ctf=_ctf(columns),
        pixel_size=_as_float(columns.get("blob/psize_A")),
        box_size=None if box is None else box.reshape(len(uid), -1)[:, 0].astype(np.int64),
        optics_group=None if group is None else group.astype(np.int64),
        half_set=_half_sets(columns),
        aberrations=cryosparc_aberrations(columns),
        magnification=cryosparc_magnification(path, columns),
        notes=tuple(cryosparc_notes(columns)),
        row="row",
    )


def _load(path: Path) -> dict[str, NDArray[Any]]:
    require_file(path, CURE)
    try:
        dataset = Dataset.load(str(path))
    except Exception as fault:  # the library raises many kinds, some of its own
        raise InputError(str(path), f"not a cryoSPARC file: {fault}", CURE) from fault
    if len(dataset) == 0:
        raise InputError(str(path), "there are no particles in it", "Give a file with some.")
    return {name: np.asarray(dataset[name]) for name in dataset}


def _uid(path: Path, columns: dict[str, NDArray[Any]]) -> NDArray[np.uint64]:
    return _column(path, columns, "uid").astype(np.uint64)


def _require_unique(path: Path, uid: NDArray[np.uint64]) -> None:
    unique, counts = np.unique(uid, return_counts=True)
    if len(unique) < len(uid):
        raise InputError(
            str(path),
            f"uid {unique[counts > 1][0]} occurs {counts.max()} times; rows are joined by it, "
            "so it must be unique",
            "Remove duplicates in cryoSPARC.",
        )


def _require_one_image_a_uid(
    path: Path,
    uid: NDArray[np.uint64],
    stack_of_particle: NDArray[np.int64],
    place: NDArray[np.int64],
) -> None:
    """Rows may repeat a uid if they show one image (expanded by hand), not otherwise."""
    first, number = np.unique(uid, return_index=True, return_inverse=True)[1:]
    if len(first) == len(uid):
        return
    same = first[number.reshape(-1)]
    other = (stack_of_particle != stack_of_particle[same]) | (place != place[same])
    if other.any():
        row = int(np.flatnonzero(other)[0])
        raise InputError(
            f"{path}, row {row + 1}",
            f"uid {uid[row]} is also that of row {int(same[row]) + 1}, which shows another image; "
            "it must be unique",
            "Remove duplicates in cryoSPARC.",
        )


def _image_names(
    stacks: tuple[str, ...], stack_of_particle: NDArray[np.int64], place: NDArray[np.int64]
) -> NDArray[np.str_]:
    """``000001@stack``, counted from 1: expanded rows have a uid each, but one image."""
    numbers = np.char.mod("%06d@", place + 1)
    return np.char.add(numbers, np.array(stacks, dtype=np.str_)[stack_of_particle])


def _joined(
    path: Path,
    uid: NDArray[np.uint64],
    columns: dict[str, NDArray[Any]],
    further: Path,
) -> dict[str, NDArray[Any]]:
    """`columns` completed by those of `further`, row by row of the same uid."""
    added = _load(further)
    other = _uid(further, added)
    _require_unique(further, other)
    order = np.argsort(other)
    place = np.searchsorted(other, uid, sorter=order).clip(max=len(other) - 1)
    rows = order[place]
    absent = other[rows] != uid
    if absent.any():
        raise InputError(
            f"--passthrough {further}",
            f"{int(absent.sum())} of the {len(uid)} particles of {path} are not in it, "
            f"the first has uid {uid[absent][0]}",
            "Give the passthrough file of the same job.",
        )
    completed = dict(columns)
    for name, values in added.items():
        if name not in completed:
            completed[name] = values[rows]
    return completed


def _column(path: Path, columns: dict[str, NDArray[Any]], name: str) -> NDArray[Any]:
    if name not in columns:
        raise InputError(str(path), f"it has no column {name}", CURE)
    return columns[name]


def _shift(path: Path, columns: dict[str, NDArray[Any]]) -> NDArray[np.float64] | None:
    shift = columns.get("alignments3D/shift")
    if shift is None:
        return None
    pixel = columns.get("alignments3D/psize_A", columns.get("blob/psize_A"))
    if pixel is None:
        raise InputError(
            str(path),
            "alignments3D/shift is in pixels of alignments3D/psize_A, which is absent",
            "Add the passthrough file of the same job with --passthrough.",
        )
    shifted: NDArray[np.float64] = -shift.astype(np.float64) * pixel.astype(np.float64)[:, None]
    return shifted


def _ctf(columns: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    found = {}
    for column, field in CTF_COLUMNS.items():
        if column in columns:
            values = columns[column].astype(np.float64)
            found[field] = np.rad2deg(values) if column in RADIANS else values
    return found


def _half_sets(columns: dict[str, NDArray[Any]]) -> NDArray[np.int8] | None:
    split = columns.get("alignments3D/split")
    # A job that has not split the particles writes 0 for all of them.
    if split is None or len(np.unique(split)) != 2 or not np.isin(split, (0, 1)).all():
        return None
    return (split + 1).astype(np.int8)


def _as_float(values: NDArray[Any] | None) -> NDArray[np.float64] | None:
    # float32 1.31 is 1.30999994 in float64: take the shortest decimal of the float32.
    if values is None:
        return None
    return np.array([float(str(v)) for v in np.unique(values)])[
        np.unique(values, return_inverse=True)[1].reshape(-1)
    ]
