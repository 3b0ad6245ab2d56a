"""Particles in the poses of one part at rest, for local refinement in RELION and cryoSPARC.

Shifts are recentred on the part: it lies at the box centre of whatever is reconstructed from the
file, and so do its mask and map that are written beside it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from cryosparc.dataset import Dataset
from scipy.spatial.transform import Rotation

from cryoparts.conventions import Poses, euler_from_rotation
from cryoparts.errors import InputError
from cryoparts.export.relion import NAME_COLUMN, Edits, copy_rows
from cryoparts.io.atomic import write_atomically
from cryoparts.particle_files.relion import EULER, particle_block, write_relion
from cryoparts.particle_files.row_identity import row_names
from cryoparts.particle_files.star import read_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.particle_files.particle_table import ParticleTable

    Map = NDArray[np.float32]

ORIGINS = (("rlnOriginXAngst", "rlnOriginYAngst"), ("rlnOriginX", "rlnOriginY"))
"""Å, and pixels of the images."""


def write_posed_star(target: Path, table: ParticleTable, rows: NDArray[np.int64], poses: Poses,
                     source: Path | None) -> None:  # fmt: skip
    """Write chosen particles of a table in other poses as a RELION file.

    Where `source` is the RELION file that the table was read from, it is copied: optics table,
    columns, digits and comments stay, and angles and origins are replaced. Otherwise a file of
    RELION 3.1 is made of the table, with its optics.

    Parameters
    ----------
    target : Path
    table : ParticleTable
        Without anisotropic magnification undone, as the file has it.
    rows : int array, shape (n,)
        Of the table, in rising order.
    poses : Poses
        Of these n, in the frame of the images with the magnification undone.
    source : Path, optional
        None where the table is not, row by row, that of a RELION file.

    Raises
    ------
    InputError
        If the source has moved or is no RELION file.
    """
    placed = _magnified(table, rows, poses)
    block = None if source is None else particle_block(source, read_blocks(source))
    origins = None
    if block is not None and len(block) == len(table):
        named = row_names(block.read([NAME_COLUMN])[NAME_COLUMN].astype(str).to_numpy(np.str_))
        origins = next((pair for pair in ORIGINS if set(pair) <= set(block.columns)), None)
        if not np.array_equal(named, table.names) or not set(EULER) <= set(block.columns):
            origins = None
    if source is None or block is None or origins is None:
        write_relion(target, replace(table.take(rows), poses=placed))
        return
    keep = np.zeros((len(table), 2), dtype=bool)
    keep[rows, 1] = True
    unit = 1.0 if origins is ORIGINS[0] else table.pixel_size_angstrom[rows]
    columns = [block.columns.index(name) for name in (*EULER, *origins)]
    values = np.stack(
        [*euler_from_rotation(placed.rotation), *(-placed.shift_angstrom.T / unit + 0.0)], axis=1
    )

    def replaced() -> Iterator[dict[int, str]]:
        for row in values.tolist():
            yield {c: f"{value:.6f}" for c, value in zip(columns, row, strict=True)}

    with write_atomically(target) as temporary:
        copy_rows(source, block, keep, Edits(block, replaced(), None), temporary)


def write_posed_cs(target: Path, source: Path, rows: NDArray[np.int64], poses: Poses) -> None:
    """Write chosen rows of a cryoSPARC file in other poses; all other fields stay.

    Parameters
    ----------
    target : Path
    source : Path
        The .cs file that the run was made from.
    rows : int array, shape (n,)
        Of the file, in rising order.
    poses : Poses
        Of these n.

    Raises
    ------
    InputError
        If the source has moved, is no .cs file or holds no poses.
    """
    cure = "Give the run the file back that it was made from, or use the .star file."
    try:
        whole = Dataset.load(str(source))
    except Exception as fault:  # the library raises many kinds, some of its own
        raise InputError(str(source), f"not a cryoSPARC file: {fault}", cure) from fault
    fields = ("alignments3D/pose", "alignments3D/shift", "alignments3D/psize_A")
    if any(name not in whole for name in fields):
        raise InputError(str(source), f"lacks one of {', '.join(fields)}", cure)
    chosen = Dataset({name: np.asarray(whole[name])[rows] for name in whole})
    pixel = np.asarray(chosen["alignments3D/psize_A"], dtype=np.float64)[:, None]
    # the pose takes the image to the reference, the shift is from the particle to the centre
    turned = Rotation.from_matrix(poses.rotation).inv().as_rotvec()
    chosen["alignments3D/pose"] = turned.astype(np.asarray(whole["alignments3D/pose"]).dtype)
    shift = np.asarray(whole["alignments3D/shift"]).dtype
    chosen["alignments3D/shift"] = (-poses.shift_angstrom / pixel).astype(shift)
    with write_atomically(target) as temporary:
        chosen.save(str(temporary))


def nearest_voxel(centre_angstrom: NDArray[np.float64], pixel: float) -> NDArray[np.float64]:
    """The place (x, y, z) of the voxel nearest to a point, Å about the box centre."""
    return np.asarray(np.rint(centre_angstrom / pixel) * pixel)


def centred_on(density: Map, point_angstrom: NDArray[np.float64], pixel: float) -> Map:
    """The map with a voxel's place moved to the box centre; 0 where nothing is known.

    Parameters
    ----------
    density : float32 array, shape (D, D, D)
    point_angstrom : array, shape (3,)
        (x, y, z) of a voxel about the box centre (`nearest_voxel`), Å.
    pixel : float
        Å.
    """
    steps = np.rint(point_angstrom[::-1] / pixel).astype(int)
    moved = np.zeros_like(density)
    into, out_of = [], []
    for step, size in zip(steps.tolist(), density.shape, strict=True):
        into.append(slice(max(0, -step), min(size, size - step)))
        out_of.append(slice(max(0, step), min(size, size + step)))
    moved[tuple(into)] = density[tuple(out_of)]
    return moved


def _magnified(table: ParticleTable, rows: NDArray[np.int64], poses: Poses) -> Poses:
    """Shifts as the file's images show them: t' = M^T t, the inverse of `corrected_shift`."""
    if table.magnification is None:
        return poses
    matrices: Any = np.swapaxes(table.magnification[rows], 1, 2)
    return Poses(poses.rotation, (matrices @ poses.shift_angstrom[:, :, None])[:, :, 0])
