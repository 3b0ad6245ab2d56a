"""Writing particles as RELION 3.1 reads them: an optics table and a particle table."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.conventions import AberratedCtfParameters, euler_from_rotation
from cryoparts.io.atomic import write_atomically
from cryoparts.particle_files.aberration_columns import EVEN, MAGNIFICATION, ODD
from cryoparts.particle_files.star import write_loop

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.particle_files.particle_table import ParticleTable

NUMBER = "%.9g"
"""Nine digits: defocus keeps its 0.0001 Å and amplitudes of 1e-8 do not become 0."""


def write_relion(
    path: Path, table: ParticleTable, classes: NDArray[np.int64] | None = None
) -> None:
    """Write a RELION 3.1 .star file, atomically.

    Particles keep their order, and RELION names (``000001@stack``) are written
    as they are; particles of other formats get a name from their stack, relative
    to the folder of `path` where it lies below it. Particles of one optics group
    that differ in pixel size, box, voltage, aberration or amplitude contrast are
    given groups of their own, because RELION keeps these per group.

    Parameters
    ----------
    path : Path
    table : ParticleTable
    classes : int array, shape (P,), optional
        rlnClassNumber.
    """
    optics, group = _optics(table)
    particles = _particle_columns(path, table, group)
    if classes is not None:
        particles["rlnClassNumber"] = classes.astype(str).tolist()
    with (
        write_atomically(path) as temporary,
        temporary.open("w", encoding="utf-8") as stream,
    ):
        write_loop(stream, "optics", list(optics), _rows(optics))
        write_loop(stream, "particles", list(particles), _rows(particles))


def _optics(table: ParticleTable) -> tuple[dict[str, list[str]], NDArray[np.int64]]:
    """Columns of the optics table, and the number (P,) of each particle's group in it."""
    ctf = table.ctf
    aberrations = ctf.aberrations if isinstance(ctf, AberratedCtfParameters) else None
    count = len(table)
    magnification = table.magnification
    if magnification is None:
        magnification = np.broadcast_to(np.eye(2), (count, 2, 2))
    per_group = np.stack(
        [
            table.optics_group.astype(np.float64),
            ctf.voltage_kv,
            ctf.spherical_aberration_mm,
            ctf.amplitude_contrast,
            table.pixel_size_angstrom,
            table.box_size.astype(np.float64),
            np.zeros(count) if aberrations is None else aberrations.group,
            *magnification.reshape(count, 4).T,
        ],
        axis=1,
    )
    groups, member = np.unique(per_group, axis=0, return_inverse=True)
    member = member.reshape(-1)
    numbers = groups[:, 0].astype(int)
    if len(np.unique(numbers)) < len(numbers):
        numbers = np.arange(1, len(groups) + 1)
    optics = {
        "rlnOpticsGroupName": [f"opticsGroup{n}" for n in numbers],
        "rlnOpticsGroup": numbers.astype(str).tolist(),
        "rlnVoltage": _texts(groups[:, 1]),
        "rlnSphericalAberration": _texts(groups[:, 2]),
        "rlnAmplitudeContrast": _texts(groups[:, 3]),
        "rlnImagePixelSize": _texts(groups[:, 4]),
        "rlnImageSize": groups[:, 5].astype(int).astype(str).tolist(),
        "rlnImageDimensionality": ["2"] * len(groups),
    }
    if aberrations is not None:
        chosen = groups[:, 6].astype(int)
        optics[ODD] = [_list_text(c) for c in aberrations.odd_zernike[chosen]]
        optics[EVEN] = [_list_text(c) for c in aberrations.even_zernike[chosen]]
    if table.magnification is not None:
        optics |= {c: _texts(groups[:, 7 + i]) for i, c in enumerate(MAGNIFICATION)}
    if table.phase_flipped:
        optics["rlnCtfDataArePhaseFlipped"] = ["1"] * len(groups)
    return optics, numbers[member]


def _list_text(values: NDArray[np.float64]) -> str:
    return "[" + ",".join(_texts(values)) + "]"


def _particle_columns(
    path: Path, table: ParticleTable, group: NDArray[np.int64]
) -> dict[str, list[str]]:
    rot, tilt, psi = euler_from_rotation(table.poses.rotation)
    origin = 0.0 - table.poses.shift_angstrom  # 0.0 - x, because -x would write "-0"
    ctf = table.ctf
    columns = {
        "rlnImageName": _image_names(path, table),
        "rlnOpticsGroup": group.astype(str).tolist(),
        "rlnAngleRot": _texts(rot),
        "rlnAngleTilt": _texts(tilt),
        "rlnAnglePsi": _texts(psi),
        "rlnOriginXAngst": _texts(origin[:, 0]),
        "rlnOriginYAngst": _texts(origin[:, 1]),
        "rlnDefocusU": _texts(ctf.defocus_u_angstrom),
        "rlnDefocusV": _texts(ctf.defocus_v_angstrom),
        "rlnDefocusAngle": _texts(ctf.astigmatism_angle_degrees),
        "rlnPhaseShift": _texts(ctf.phase_shift_degrees),
        "rlnCtfBfactor": _texts(ctf.b_factor),
        "rlnCtfScalefactor": _texts(ctf.scale),
    }
    if (table.half_set > 0).any():
        columns["rlnRandomSubset"] = table.half_set.astype(str).tolist()
    return columns


def _image_names(path: Path, table: ParticleTable) -> list[str]:
    if table.format == "relion":
        named = table.names if table.image_names is None else table.image_names
        return [str(n) for n in named]
    folder = path.resolve().parent
    stacks = []
    for stack in table.stack_paths:
        whole = stack.resolve()
        below = whole.is_relative_to(folder)
        stacks.append(os.path.relpath(whole, folder) if below else str(whole))
    return [
        f"{number + 1:06d}@{stacks[stack]}"
        for number, stack in zip(
            table.slice_in_stack.tolist(), table.stack_of_particle.tolist(), strict=True
        )
    ]


def _texts(values: NDArray[np.float64]) -> list[str]:
    return [NUMBER % value for value in values.tolist()]


def _rows(columns: dict[str, list[str]]) -> Iterable[tuple[str, ...]]:
    return zip(*columns.values(), strict=True)
