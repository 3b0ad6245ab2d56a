"""Symmetry-expanded particle files of a small stack, as RELION and cryoSPARC write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cryosparc.dataset import Dataset
from scipy.spatial.transform import Rotation

HEAD = """# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnVoltage #2
_rlnSphericalAberration #3
_rlnAmplitudeContrast #4
_rlnImagePixelSize #5
_rlnImageSize #6
1 300 2.7 0.1 2.5 16


# version 30001

data_particles

loop_
_rlnImageName #1
_rlnOpticsGroup #2
_rlnAngleRot #3
_rlnAngleTilt #4
_rlnAnglePsi #5
_rlnOriginXAngst #6
_rlnOriginYAngst #7
_rlnDefocusU #8
_rlnDefocusV #9
_rlnDefocusAngle #10
_rlnRandomSubset #11
"""


def expanded_star(path: Path, stack: str, images: int, copies: int, halves=None) -> list[str]:
    """Write it; returns the lines of its rows. Rows are those of C`copies`, copies together.

    `halves` (images * copies,) are the half sets of the rows; default by image.
    """
    rng = np.random.default_rng(images)
    lines = []
    for image in range(images):
        tilt, psi, x, y, defocus = rng.uniform((5, -180, -3, -3, 1e4), (170, 180, 3, 3, 2e4))
        for copy in range(copies):
            half = 1 + image % 2 if halves is None else halves[len(lines)]
            rot = 7.0 * image + 360.0 / copies * copy
            lines.append(
                f"{image + 1:06d}@{stack} 1 {rot:.4f} {tilt:.4f} {psi:.4f} {x:.4f} {y:.4f} "
                f"{defocus:.2f} {defocus - 100:.2f} 30.0 {half} \n"
            )
    path.write_text(HEAD + "".join(lines) + "\n", encoding="utf-8")
    return lines


def expanded_columns(images: int, copies: int) -> dict[str, np.ndarray]:
    """Columns of a .cs file after cryoSPARC's Symmetry Expansion: a uid a row, one image."""
    rng = np.random.default_rng(images)
    rows = images * copies
    image, copy = np.divmod(np.arange(rows), copies)
    of_image = Rotation.from_rotvec(rng.normal(size=(images, 3)))
    turn = Rotation.from_euler("z", (360.0 / copies * copy)[:, None], degrees=True)
    single = np.float32
    return {
        "uid": rng.permutation(rows).astype(np.uint64) + 10**17,
        "blob/path": np.array([">J1/s.mrcs"] * rows, dtype=object),
        "blob/idx": image.astype(np.uint32),
        "blob/shape": np.full((rows, 2), 16, dtype=np.uint32),
        "blob/psize_A": np.full(rows, 2.5, dtype=single),
        "ctf/df1_A": rng.uniform(1e4, 2e4, images)[image].astype(single),
        "ctf/df2_A": np.full(rows, 1e4, dtype=single),
        "ctf/df_angle_rad": np.zeros(rows, dtype=single),
        "ctf/accel_kv": np.full(rows, 300, dtype=single),
        "ctf/cs_mm": np.full(rows, 2.7, dtype=single),
        "ctf/amp_contrast": np.full(rows, 0.1, dtype=single),
        "alignments3D/pose": (turn * of_image[image]).as_rotvec().astype(single),
        "alignments3D/shift": rng.normal(size=(images, 2))[image].astype(single),
        "alignments3D/psize_A": np.full(rows, 2.5, dtype=single),
        "alignments3D/split": (image % 2).astype(np.uint32),
        "sym_expand/idx": copy.astype(np.uint32),
        "sym_expand/src_uid": (image + 10**15).astype(np.uint64),
    }


def save_columns(path: Path, columns: dict[str, np.ndarray]) -> Path:
    Dataset(list(columns.items())).save(str(path))
    return path
