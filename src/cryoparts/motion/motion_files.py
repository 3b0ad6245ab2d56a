"""The folder motion/ of a run: each particle's rigid motions, and what they have in common."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from cryoparts.io.atomic import write_text
from cryoparts.io.files import reading
from cryoparts.io.tables import numbers, read_table, save_array, write_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.rigid.motion_statistics import MeanScrew
    from cryoparts.rigid.rigid_motion import RigidMotions

    FloatArray = NDArray[np.float64]

SUMMARY = "motions.json"

CORE = "core"
"""Stem of the table of the core's own motion, in the frame of the poses."""

CONVENTION = (
    "Angles are right-handed about the axis: positive ones turn counter-clockwise for a viewer "
    "towards whom it points. Axes and pivots are in Å about the box centre; shifts are of the "
    "part's centre. Everything is relative to the neutral model, as seen from the core unless "
    "frame says otherwise."
)


@dataclass(frozen=True)
class PartMotion:
    """What one part does in P particles.

    Parameters
    ----------
    motions : RigidMotions
    screw : MeanScrew
    signed_angle_degrees : array, shape (P,)
        By how much the part is turned about its mean axis.
    relative_amplitude : array, shape (P,), or None
        Of the part; its motion means nothing where it is absent.
    present : bool array, shape (P,)
        Particles in which the part is there: the mean axis is theirs.
    rigid_fraction : float
        Share of the part's mass that moves as one body: its misfit is less than
        twice the typical one.
    told : bool
        Whether images tell anything of the motion. If not, it is at rest in every particle,
        whatever was decoded. True where they were not asked.
    """

    motions: RigidMotions
    screw: MeanScrew
    signed_angle_degrees: FloatArray
    relative_amplitude: FloatArray | None
    present: NDArray[np.bool_]
    rigid_fraction: float
    told: bool = True

    def table(self, names: NDArray[np.str_]) -> dict[str, NDArray[Any]]:
        """One row a particle, as in motion/part_1.csv."""
        axis = _axes(self.motions, self.screw.axis)
        shift = self.motions.shift_angstrom
        columns: dict[str, NDArray[Any]] = {
            "name": names,
            "angle_degrees": self.motions.angle_degrees,
            "signed_angle_degrees": self.signed_angle_degrees,
        }
        columns |= _axes_and_shifts(axis, shift)
        columns |= {
            "shift_along_axis_angstrom": (shift * axis).sum(axis=1),
            "displacement_rms_angstrom": self.motions.displacement_rms_angstrom,
            "residual_rms_angstrom": self.motions.residual_rms_angstrom,
        }
        if self.relative_amplitude is not None:
            columns["relative_amplitude"] = self.relative_amplitude
        return columns


def _axes(motions: RigidMotions, otherwise: FloatArray) -> FloatArray:
    """Unit vectors (P, 3) of the rotations; `otherwise` where there is none."""
    vectors = motions.rotation_vectors
    turned = motions.angle_degrees > 0
    axis = np.broadcast_to(otherwise, vectors.shape).copy()
    axis[turned] = vectors[turned] / np.linalg.norm(vectors[turned], axis=1, keepdims=True)
    return axis


def _axes_and_shifts(axis: FloatArray, shift: FloatArray) -> dict[str, NDArray[Any]]:
    return {f"axis_{letter}": axis[:, i] for i, letter in enumerate("xyz")} | {
        f"shift_{letter}_angstrom": shift[:, i] for i, letter in enumerate("xyz")
    }


def write_core_motion(folder: Path, names: NDArray[np.str_], motions: RigidMotions) -> None:
    """Write core.csv: the core's own rotation and shift in each particle."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {"name": names, "angle_degrees": motions.angle_degrees}
    columns |= _axes_and_shifts(_axes(motions, np.eye(3)[2]), motions.shift_angstrom)
    write_table(folder / f"{CORE}.csv", columns)


def read_rigid_motion(folder: Path, stem: str) -> tuple[NDArray[np.str_], FloatArray, FloatArray]:
    """Names (P,), rotations (P, 3, 3) and shifts (P, 3) in Å of motion/part_k.csv or core.csv.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    names, columns = _read(folder / f"{stem}.csv")
    path, cure = folder / f"{stem}.csv", "Run `cryoparts motion` again."
    with reading(path, "a table of rigid motions", cure):
        axis = np.stack([columns[f"axis_{letter}"] for letter in "xyz"], axis=1)
        shift = np.stack([columns[f"shift_{letter}_angstrom"] for letter in "xyz"], axis=1)
        vectors = np.deg2rad(columns["angle_degrees"])[:, None] * axis
        if not np.isfinite(vectors).all() or not np.isfinite(shift).all():
            raise ValueError("a motion is not finite")
    return names, np.asarray(Rotation.from_rotvec(vectors).as_matrix()), shift


def write_part_motion(folder: Path, part: int, names: NDArray[np.str_], motion: PartMotion) -> None:
    """Write part_k.csv and part_k_angles.npy (the signed angles, in the order of the run)."""
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / f"part_{part}.csv", motion.table(names))
    save_array(folder / f"part_{part}_angles.npy", motion.signed_angle_degrees)


def write_motion_summary(folder: Path, summary: Mapping[str, Any]) -> None:
    """Write motions.json, last: its presence means that the folder is whole."""
    write_text(folder / SUMMARY, json.dumps({"convention": CONVENTION, **summary}, indent=2) + "\n")


def read_motion_summary(folder: Path) -> dict[str, Any] | None:
    """motions.json; None where the step has not run.

    Raises
    ------
    InputError
        If it is not what `write_motion_summary` writes.
    """
    path = folder / SUMMARY
    if not path.exists():
        return None
    with reading(path, "a summary of motions", "Run `cryoparts motion` again."):
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content["parts"], dict):
            raise ValueError("its parts are not listed by name")
        return dict(content)


def is_told(content: Mapping[str, Any]) -> bool:
    """Whether images tell of a part's motion, by its entry in motions.json.

    Runs of earlier versions do not say, and moved every part.
    """
    return bool(content.get("told_by_the_images", True))


def read_part_motion(folder: Path, part: int) -> tuple[NDArray[np.str_], dict[str, FloatArray]]:
    """Names (P,) and columns (P,) of motion/part_k.csv.

    Raises
    ------
    InputError
        If the file is missing or damaged.
    """
    return _read(folder / f"part_{part}.csv")


def _read(path: Path) -> tuple[NDArray[np.str_], dict[str, FloatArray]]:
    cure = "Run `cryoparts motion` again."
    table = read_table(path, ["name"], cure=cure)
    names = table.pop("name").to_numpy(dtype=np.str_)
    return names, {str(key): numbers(table, key, path, cure=cure) for key in table.columns}
