"""RELION particle files: 3.0 without optics table; 3.1, 4 and 5 with one.

Conventions (He & Scheres 2017; checked against projections that RELION made):
the rotation is intrinsic Z-Y-Z by (rot, tilt, psi) and takes the reference to
the image; the origin offset moves the image onto the reference, so the
projection's translation is its negative. Offsets are in pixels in
``rlnOriginX/Y`` and in Å in ``rlnOriginXAngst/YAngst``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cryoparts.conventions import rotation_from_euler
from cryoparts.errors import InputError
from cryoparts.particle_files.aberration_columns import (
    RELION_COLUMNS,
    relion_aberrations,
    relion_magnification,
)
from cryoparts.particle_files.assembly import ParticleRows, ReadOptions, assemble, group_stacks
from cryoparts.particle_files.other_inputs import (
    require_single_particles,
    require_two_dimensions,
)
from cryoparts.particle_files.relion_writing import write_relion
from cryoparts.particle_files.star import StarBlock, read_blocks

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.particle_files.particle_table import ParticleTable

__all__ = ["read_relion", "read_relion_rows", "write_relion"]

EULER = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
CTF_COLUMNS = {
    "rlnDefocusU": "defocus_u_angstrom",
    "rlnDefocusV": "defocus_v_angstrom",
    "rlnDefocusAngle": "astigmatism_angle_degrees",
    "rlnVoltage": "voltage_kv",
    "rlnSphericalAberration": "spherical_aberration_mm",
    "rlnAmplitudeContrast": "amplitude_contrast",
    "rlnPhaseShift": "phase_shift_degrees",
    "rlnCtfBfactor": "b_factor",
    "rlnCtfScalefactor": "scale",
}
GEOMETRY = ("rlnImagePixelSize", "rlnPixelSize", "rlnImageSize", "rlnDetectorPixelSize")
FLAGS = ("rlnCtfDataArePhaseFlipped", "rlnCtfDataAreCtfPremultiplied")
PARTICLE_COLUMNS = (
    "rlnImageName",
    "rlnImageDimensionality",
    *EULER,
    "rlnOriginX",
    "rlnOriginY",
    "rlnOriginXAngst",
    "rlnOriginYAngst",
    "rlnOpticsGroup",
    "rlnRandomSubset",
    "rlnMagnification",
    *CTF_COLUMNS,
    *GEOMETRY,
    *FLAGS,
    *RELION_COLUMNS,
)


def read_relion(path: Path, options: ReadOptions | None = None) -> ParticleTable:
    """Read a RELION .star file of particles.

    Raises
    ------
    InputError
        See `cryoparts.particle_files.assembly.assemble`; also if the file has no particle
        block, an image name is malformed or an optics group is undefined.
    """
    return assemble(read_relion_rows(path), path, "relion", options or ReadOptions())


def read_relion_rows(path: Path) -> ParticleRows:
    """What a .star file says of its particles, before the stacks are looked at."""
    blocks = read_blocks(path)
    require_single_particles(path, blocks)
    block = particle_block(path, blocks)
    table = dict(block.read(PARTICLE_COLUMNS).items())
    notes: list[str] = []
    optics = blocks.get("optics")
    if optics is not None and "rlnOpticsGroup" in table:
        table = _with_optics(path, optics, table, block)
    require_two_dimensions(path, table)
    names = table["rlnImageName"].astype(str)
    stacks, stack_of_particle, slices, unnumbered = _split_names(path, names)
    pixel = _pixel_size(path, table)
    shift, unit = _shift(path, table)
    euler = [table[c] for c in EULER if c in table]
    ctf = {
        field: _numbers(path, column, table[column])
        for column, field in CTF_COLUMNS.items()
        if column in table
    }
    magnification = relion_magnification(path, table, notes)
    return ParticleRows(
        names=names.to_numpy(dtype=np.str_),
        recorded_stacks=stacks,
        stack_of_particle=stack_of_particle,
        slice_in_stack=slices,
        unnumbered=unnumbered,
        rotation=(
            rotation_from_euler(*(_numbers(path, str(c.name), c) for c in euler))
            if len(euler) == 3
            else None
        ),
        shift=None if shift is None else -shift,
        shift_unit="angstrom" if unit == "angstrom" else "pixel",
        ctf=ctf,
        aberrations=relion_aberrations(path, table, ctf),
        magnification=magnification,
        pixel_size=pixel,
        box_size=_integers(path, "rlnImageSize", table),
        optics_group=_integers(path, "rlnOpticsGroup", table),
        half_set=_half_sets(path, table),
        phase_flipped=_phase_flipped(path, table),
        notes=tuple(notes),
        row=f"data_{block.name} row",
    )


def particle_block(path: Path, blocks: dict[str, StarBlock]) -> StarBlock:
    """The block with image names: data_particles, data_images, data_model_class_1, data_ ..."""
    for block in sorted(blocks.values(), key=lambda b: b.name != "particles"):
        if "rlnImageName" in block.columns:
            return block
    found = ", ".join(f"data_{name}" for name in list(blocks)[:5])
    raise InputError(
        str(path),
        f"no block has the column rlnImageName; its blocks are {found}",
        "Give the file that lists the particles (run_data.star, particles.star), "
        "not a model, optimiser or job file.",
    )


def _with_optics(
    path: Path, optics: StarBlock, table: dict[Any, pd.Series[Any]], block: StarBlock
) -> dict[Any, pd.Series[Any]]:
    """Particle columns completed by those of each particle's optics group."""
    frame = optics.read(PARTICLE_COLUMNS)
    if "rlnOpticsGroup" not in frame:
        raise InputError(
            f"{path}, block data_optics", "no column rlnOpticsGroup", "Write the file again."
        )
    numbers = _numbers(path, "rlnOpticsGroup", frame["rlnOpticsGroup"])
    odd = np.flatnonzero(~(np.isfinite(numbers) & (numbers == np.rint(numbers))))
    if len(odd):
        raise InputError(
            f"{path}, block data_optics",
            f"line {optics.line_of(int(odd[0]))}: rlnOpticsGroup must be a whole number, it is "
            f"{numbers[odd[0]]:g}",
            "Correct the file.",
        )
    frame["rlnOpticsGroup"] = numbers.astype(int)
    repeated = frame["rlnOpticsGroup"][frame["rlnOpticsGroup"].duplicated()]
    if len(repeated):
        rows = np.flatnonzero(frame["rlnOpticsGroup"] == repeated.iloc[0])
        lines = ", ".join(str(optics.line_of(int(row))) for row in rows)
        raise InputError(
            f"{path}, block data_optics",
            f"optics group {int(repeated.iloc[0])} is defined {len(rows)} times, in lines "
            f"{lines}; it must be once",
            "Give every optics group its own number, or take the further lines out.",
        )
    groups = _numbers(path, "rlnOpticsGroup", table["rlnOpticsGroup"])
    known = pd.Index(frame["rlnOpticsGroup"].astype(np.float64))
    position = np.where(np.isfinite(groups), known.get_indexer(pd.Index(groups)), -1)
    if (position < 0).any():
        first = int(np.flatnonzero(position < 0)[0])
        raise InputError(
            f"{path}, data_{block.name} row {first + 1}",
            f"optics group {groups[first]:g} is not in data_optics",
            "Add the group to data_optics.",
        )
    completed = dict(table)
    for column in frame.columns:
        # A column of the particle table is nearer to the particle than that of its group.
        if column not in completed:
            completed[column] = frame[column].take(position).reset_index(drop=True)
    return completed


def _split_names(
    path: Path, names: pd.Series[Any]
) -> tuple[tuple[str, ...], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Stack names, each particle's stack and 0-based slice from ``000001@stack.mrcs``.

    Also whether the name is that of a file alone.
    """
    numbers: list[str] = []
    stacks: list[str] = []
    for name in names.tolist():
        number, at, stack = name.partition("@")
        # A name without @ is a single image in a file of its own.
        numbers.append(number if at else "1")
        stacks.append(stack if at else name)
    try:
        slices = np.array(numbers).astype(np.int64) - 1
    except ValueError as fault:
        bad = next(i for i, n in enumerate(numbers) if not n.isdigit())
        raise InputError(
            f"{path}, row {bad + 1}, column rlnImageName",
            f"must be number@stack, it is {names.iloc[bad]!r}",
            "Correct the file.",
        ) from fault
    unique, index = group_stacks(stacks)
    return unique, index, slices, np.array(["@" not in name for name in names.tolist()])


def _pixel_size(path: Path, table: dict[Any, pd.Series[Any]]) -> NDArray[np.float64] | None:
    for column in ("rlnImagePixelSize", "rlnPixelSize"):
        if column in table:
            return _numbers(path, column, table[column])
    if "rlnDetectorPixelSize" in table and "rlnMagnification" in table:
        detector = _numbers(path, "rlnDetectorPixelSize", table["rlnDetectorPixelSize"])
        magnification = _numbers(path, "rlnMagnification", table["rlnMagnification"])
        with np.errstate(divide="ignore", invalid="ignore"):
            return detector * 1e4 / magnification  # µm on the detector to Å on the specimen
    return None


def _shift(path: Path, table: dict[Any, pd.Series[Any]]) -> tuple[NDArray[np.float64] | None, str]:
    for x, y, unit in (
        ("rlnOriginXAngst", "rlnOriginYAngst", "angstrom"),
        ("rlnOriginX", "rlnOriginY", "pixel"),
    ):
        if x in table and y in table:
            pair = [_numbers(path, x, table[x]), _numbers(path, y, table[y])]
            return np.stack(pair, axis=1), unit
    return None, "angstrom"


def _half_sets(path: Path, table: dict[Any, pd.Series[Any]]) -> NDArray[np.int8] | None:
    values = _integers(path, "rlnRandomSubset", table)
    if values is None:
        return None
    return np.where((values == 1) | (values == 2), values, 0).astype(np.int8)


def _phase_flipped(path: Path, table: dict[Any, pd.Series[Any]]) -> bool:
    multiplied = _integers(path, "rlnCtfDataAreCtfPremultiplied", table)
    if multiplied is not None and multiplied.any():
        raise InputError(
            f"{path}, column rlnCtfDataAreCtfPremultiplied",
            "the images are already multiplied by their CTF",
            "Extract the particles again without premultiplication.",
        )
    flipped = _integers(path, "rlnCtfDataArePhaseFlipped", table)
    if flipped is None or not flipped.any():
        return False
    if not flipped.all():
        raise InputError(
            f"{path}, column rlnCtfDataArePhaseFlipped",
            "some optics groups are phase-flipped and some are not",
            "Extract all particles in the same way.",
        )
    return True


def _integers(
    path: Path, column: str, table: dict[Any, pd.Series[Any]]
) -> NDArray[np.int64] | None:
    if column not in table:
        return None
    numbers = _numbers(path, column, table[column])
    return np.where(np.isfinite(numbers), numbers, 0).astype(np.int64)


def _numbers(path: Path, column: str, values: pd.Series[Any]) -> NDArray[np.float64]:
    try:
        return np.asarray(values.to_numpy(dtype=np.float64))
    except ValueError as fault:
        text = values.astype(str).tolist()
        bad = next((i for i, t in enumerate(text) if not _is_number(t)), 0)
        raise InputError(
            f"{path}, row {bad + 1}, column {column}",
            f"must be a number, it is {text[bad]!r}",
            "Correct the file.",
        ) from fault


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
