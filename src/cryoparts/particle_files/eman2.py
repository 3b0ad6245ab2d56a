"""EMAN2 .lst sets of particles in .hdf stacks.

Conventions (EMAN2's Transform): ``xform.projection`` is a 3 x 4 matrix [R | t];
R takes the reference to the image and t, in pixels, is added after it, so both
are ours. ``class`` 0 and 1 are the half sets. The CTF is in the image header,
``E`` followed by defocus (µm), astigmatism U - V (µm), its angle (degrees),
B-factor (Å²), amplitude contrast (%), kV, mm and Å per pixel.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.files import locate_stacks, require_file
from cryoparts.io.hdf import HdfStack
from cryoparts.io.mrc import open_stack
from cryoparts.particle_files.assembly import ParticleRows, ReadOptions, assemble, group_stacks
from cryoparts.particle_files.other_inputs import TOMO_CURE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.particle_files.particle_table import ParticleTable

CURE = "Give an EMAN2 .lst of 2D particles with xform.projection (from e2spa_refine, for example)."
CTF_NUMBERS = 8
FLIPPED_MARKS = ("__ctf_flip", "__flip")
"""What the names of stacks of phase-flipped particles hold."""


def read_eman2(path: Path, options: ReadOptions | None = None) -> ParticleTable:
    """Read an EMAN2 .lst file.

    Raises
    ------
    InputError
        See `cryoparts.particle_files.assembly.assemble`; also if a line is malformed or some
        particles have a pose or CTF and some have none.
    """
    choice = options or ReadOptions()
    return assemble(read_eman2_rows(path, choice), path, "eman2", choice)


def read_eman2_rows(path: Path, options: ReadOptions) -> ParticleRows:
    """What the .lst file and the image headers say of the particles."""
    numbers, files, parameters = _read_lines(path)
    if options.require_stacks:  # who looks at the list alone may
        _refuse_tilts(path, parameters)
    stacks, stack_of_particle = group_stacks(files)
    rotation, shift = _poses(path, parameters)
    paths = locate_stacks(stacks, path, options.datadir, required=options.require_stacks)
    ctf, pixel = _headers(path, paths, stack_of_particle, numbers)
    return ParticleRows(
        names=np.array([f"{n}@{f}" for n, f in zip(numbers.tolist(), files, strict=True)]),
        recorded_stacks=stacks,
        stack_of_particle=stack_of_particle,
        slice_in_stack=numbers,
        rotation=rotation,
        shift=shift,
        shift_unit="pixel",
        ctf=ctf,
        pixel_size=pixel,
        half_set=_half_sets(parameters),
        phase_flipped=_phase_flipped(path, stacks),
        row="particle",
    )


def _read_lines(path: Path) -> tuple[NDArray[np.int64], list[str], list[dict[str, Any]]]:
    """Image number, file and parameters of each line: tab-separated, the last as JSON."""
    require_file(path, CURE)
    numbers: list[int] = []
    files: list[str] = []
    parameters: list[dict[str, Any]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as fault:
        raise InputError(str(path), "not an EMAN2 .lst file: not text", CURE) from fault
    if not lines[0].startswith(("#LSX", "#LST")):
        raise InputError(str(path), "not an EMAN2 .lst file: no #LSX in line 1", CURE)
    for line_number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            number, file, *rest = line.split("\t", 2)
            text = rest[0].strip() if rest else ""
            numbers.append(int(number))
            files.append(file.strip())
            parameters.append(json.loads(text) if text.startswith("{") else {})
        except ValueError as fault:
            raise InputError(
                f"{path}, line {line_number}",
                f"must be number, file and {{...}} separated by tabs: {fault}",
                "Write the list again with EMAN2.",
            ) from fault
    return np.array(numbers, dtype=np.int64), files, parameters


def _refuse_tilts(path: Path, parameters: list[dict[str, Any]]) -> None:
    """Several images of one 3D particle, each of a part of the dose, are no single particles."""
    tilted = [{"ptcl3d_id", "tilt_id"} <= one.keys() for one in parameters]
    if any(tilted):
        raise InputError(
            f"{path}, particle {tilted.index(True) + 1}",
            "it lists particles of tilt series as 2D images (ptcl3d_id, tilt_id), not single "
            f"particles ({sum(tilted)} such rows)",
            TOMO_CURE,
        )


def _poses(
    path: Path, parameters: list[dict[str, Any]]
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    has = [("xform.projection" in p) for p in parameters]
    if not any(has):
        if any("xform.align3d" in p for p in parameters):
            raise InputError(str(path), "it lists 3D particles (xform.align3d), not images", CURE)
        return None, None
    if not all(has):
        raise InputError(
            f"{path}, particle {has.index(False) + 1}",
            "it has no xform.projection, though others have",
            CURE,
        )
    matrices = np.empty((len(parameters), 3, 4))
    for row, given in enumerate(parameters):
        transform = given["xform.projection"]
        try:
            matrix = transform["matrix"] if isinstance(transform, dict) else transform
            values = json.loads(matrix) if isinstance(matrix, str) else matrix
            matrices[row] = np.array(values, dtype=np.float64).reshape(3, 4)
        except (KeyError, TypeError, ValueError) as fault:
            raise InputError(
                f"{path}, particle {row + 1}",
                f"xform.projection must be a matrix of 12 numbers: {fault}",
                "Write the list again with EMAN2.",
            ) from fault
    return matrices[:, :, :3], matrices[:, :2, 3]


def _headers(
    path: Path,
    paths: tuple[Path, ...],
    stack_of_particle: NDArray[np.int64],
    numbers: NDArray[np.int64],
) -> tuple[dict[str, NDArray[np.float64]], NDArray[np.float64] | None]:
    """CTF and pixel size from the headers of the images, as far as the stacks exist."""
    count = len(numbers)
    values = np.full((count, CTF_NUMBERS), np.nan)
    for stack_number, stack_path in enumerate(paths):
        if not stack_path.is_file() or not isinstance(stack := open_stack(stack_path), HdfStack):
            continue
        rows = np.flatnonzero(stack_of_particle == stack_number)
        for row, text in zip(rows, stack.headers(numbers[rows], "ctf"), strict=True):
            if text is not None:
                values[row] = _parse_ctf(f"{stack_path}, image {numbers[row]}", text)
    absent = np.isnan(values).any(axis=1)
    if absent.all():
        return {}, None
    if absent.any():
        raise InputError(
            f"{path}, particle {int(np.flatnonzero(absent)[0]) + 1}",
            "its image header has no CTF, though others have",
            "Run EMAN2's CTF correction on all particles.",
        )
    defocus, difference, angle, b_factor, contrast, voltage, aberration, pixel = values.T
    amplitude, phase = _split_contrast(contrast)
    columns = {
        "defocus_u_angstrom": 1e4 * (defocus + 0.5 * difference),
        "defocus_v_angstrom": 1e4 * (defocus - 0.5 * difference),
        "astigmatism_angle_degrees": angle,
        "voltage_kv": voltage,
        "spherical_aberration_mm": aberration,
        "amplitude_contrast": amplitude,
        "phase_shift_degrees": phase,
        "b_factor": b_factor,
    }
    return columns, pixel if (pixel > 0).all() else None


def _parse_ctf(where: str, text: Any) -> NDArray[np.float64]:
    try:
        if not str(text).startswith("E"):
            raise ValueError("it does not start with E")
        words = str(text)[1:].split()[:CTF_NUMBERS]
        return np.array(words, dtype=np.float64).reshape(CTF_NUMBERS)
    except ValueError as fault:
        raise InputError(
            where, f"the CTF in its header cannot be read: {fault}", "Run EMAN2's CTF again."
        ) from fault


def _split_contrast(
    percent: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Amplitude contrast and phase shift (degrees): EMAN2 writes phases beyond 90 as > 100%."""
    fraction = percent / 100.0
    inside = np.abs(fraction) <= 1
    beyond = np.sign(fraction) * np.pi - np.arcsin(
        np.clip(np.sign(fraction) * 2 - fraction, -1.0, 1.0)
    )
    return np.where(inside, fraction, 0.0), np.where(inside, 0.0, np.rad2deg(beyond))


def _half_sets(parameters: list[dict[str, Any]]) -> NDArray[np.int8] | None:
    values = {p.get("class") for p in parameters}
    if values != {0, 1}:
        return None
    return np.array([p["class"] + 1 for p in parameters], dtype=np.int8)


def _phase_flipped(path: Path, stacks: tuple[str, ...]) -> bool:
    flipped = [any(mark in name for mark in FLIPPED_MARKS) for name in stacks]
    if any(flipped) and not all(flipped):
        raise InputError(
            str(path),
            f"{stacks[flipped.index(True)]} holds phase-flipped images, "
            f"{stacks[flipped.index(False)]} does not",
            "List particles of one kind.",
        )
    return any(flipped)
