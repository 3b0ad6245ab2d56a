"""A run's particles as cryoDRGN reads them: poses, CTF, latent vectors, indices.

These files are pickles because cryoDRGN's are: plain numpy arrays and tuples of them,
nothing that could run. Everything else that the program writes is not pickled.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.particle_files.particle_table import ParticleTable

PROTOCOL = 4
"""Of pickle: read by Python 3.4 and later."""


def write_poses(path: Path, table: ParticleTable) -> None:
    """Write poses.pkl: rotations (P, 3, 3) and translations (P, 2) as fractions of the box.

    cryoDRGN's translation moves the image onto the reference, the negative of ours.
    """
    side = (table.box_size * table.pixel_size_angstrom)[:, None]
    translation = -table.poses.shift_angstrom / side
    _dump(path, (_single(table.poses.rotation), _single(translation)))


def write_ctf(path: Path, table: ParticleTable) -> None:
    """Write ctf.pkl: nine columns, of a particle each.

    Box (pixels), Å a pixel, defocus U and V (Å), angle of astigmatism (degrees), voltage
    (kV), spherical aberration (mm), amplitude contrast, phase shift (degrees).
    """
    ctf = table.ctf
    columns = [
        table.box_size,
        table.pixel_size_angstrom,
        ctf.defocus_u_angstrom,
        ctf.defocus_v_angstrom,
        ctf.astigmatism_angle_degrees,
        ctf.voltage_kv,
        ctf.spherical_aberration_mm,
        ctf.amplitude_contrast,
        ctf.phase_shift_degrees,
    ]
    _dump(path, _single(np.stack([np.asarray(c, dtype=np.float64) for c in columns], axis=1)))


def write_latent(path: Path, latent: NDArray[np.floating]) -> None:
    """Write z.pkl: latent vectors (P, Z)."""
    _dump(path, _single(latent))


def write_indices(path: Path, rows: NDArray[np.integer]) -> None:
    """Write indices of particles in the whole file, as ``cryodrgn --ind`` takes them."""
    _dump(path, np.asarray(rows, dtype=np.int64))


def require_one_row_an_image(table: ParticleTable) -> None:
    """Raise InputError where rows share images: cryoDRGN joins its files by position."""
    if table.image_count < len(table):
        raise InputError(
            str(table.source),
            "its rows share images (symmetry), which cryoDRGN's files cannot say",
            "Export for RELION and use `cryodrgn parse_pose_star` on that file.",
        )


def _single(values: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values, dtype=np.float32)


def _dump(path: Path, content: Any) -> None:
    with write_atomically(path) as temporary:
        temporary.write_bytes(pickle.dumps(content, protocol=PROTOCOL))
