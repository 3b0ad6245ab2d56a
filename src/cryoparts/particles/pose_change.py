"""What was found to be wrong with the poses that a file gives, particle by particle."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.spatial.transform import Rotation

from cryoparts.conventions import Poses
from cryoparts.io.array_file import read_npz
from cryoparts.io.atomic import write_atomically
from cryoparts.io.files import reading

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

CURE = "Run `cryoparts train` again on a new folder."
FINAL = "final"
"""What was found after the training, with each particle's latent vector."""
MOVED = "moved"
"""What was found later, with the motions of the parts as each image has them."""


def pose_change_path(folder: Path, after: int | str) -> Path:
    """File of the change found after an epoch, `FINAL` or `MOVED`; they sort in this order."""
    return folder / f"pose_change_{after if isinstance(after, str) else f'{after:04d}'}.npz"


def pose_changes(folder: Path) -> list[Path]:
    """All that were found, oldest first; poses are by the last of them."""
    return sorted(folder.glob("pose_change_*.npz"))


def changes_trained_in(folder: Path) -> list[Path]:
    """Those that were found between epochs: what was found after the training is not learned in."""
    later = {pose_change_path(folder, after) for after in (FINAL, MOVED)}
    return [path for path in pose_changes(folder) if path not in later]


def current_change(folder: Path) -> PoseChange:
    """What the poses that are in use differ by from the given ones.

    Raises
    ------
    InputError
        If its file is damaged.
    """
    return _last(pose_changes(folder))


def change_before_motions(folder: Path) -> PoseChange:
    """The same without what was found with the parts' motions: what these are asked from.

    Raises
    ------
    InputError
        If its file is damaged.
    """
    moved = pose_change_path(folder, MOVED)
    return _last([path for path in pose_changes(folder) if path != moved])


def _last(found: list[Path]) -> PoseChange:
    return PoseChange.load(found[-1]) if found else PoseChange.nothing()


def changed(
    given: Poses, turn: NDArray[np.floating], shift_angstrom: NDArray[np.floating]
) -> Poses:
    """Poses turned, after the given rotation, by rotation vectors (P, 3), radians; and shifted."""
    turned = Rotation.from_rotvec(turn).as_matrix() @ given.rotation
    return Poses(turned, given.shift_angstrom + shift_angstrom)


@dataclass(frozen=True)
class PoseSpread:
    """How far the given poses are from the true ones: deviations along each axis.

    Parameters
    ----------
    turn : float
        Radians.
    shift_angstrom : float
    """

    turn: float
    shift_angstrom: float


@dataclass(frozen=True)
class PoseChange:
    """Small turns and shifts that lead from the given poses to the refined ones.

    Parameters
    ----------
    turn : float array, shape (P, 3)
        Rotation vectors in the frame of the image (z towards the viewer), radians.
    shift_angstrom : float array, shape (P, 2)
        Added to the given shifts.
    spread : PoseSpread
        Of the errors of the given poses, as learned from the data.
    left : PoseSpread
        What one image leaves unknown of its pose, in the median; 0 where that was not kept.
    """

    turn: NDArray[np.floating]
    shift_angstrom: NDArray[np.floating]
    spread: PoseSpread
    left: PoseSpread = PoseSpread(0.0, 0.0)

    @classmethod
    def nothing(cls) -> Self:
        """Of poses that are as good as refined ones would be."""
        return cls(np.zeros((0, 3)), np.zeros((0, 2)), PoseSpread(0.0, 0.0))

    def __len__(self) -> int:
        return len(self.turn)

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Of some of the particles (n,); nothing of nothing."""
        if not len(self):
            return self
        return replace(self, turn=self.turn[rows], shift_angstrom=self.shift_angstrom[rows])

    def applied(self, given: Poses) -> Poses:
        """The refined poses: the turn comes after the given rotation, the shifts are added."""
        if not len(self):
            return given
        return changed(given, self.turn, self.shift_angstrom)

    @property
    def angle_degrees(self) -> NDArray[np.float64]:
        """Angle (P,) by which each particle is turned."""
        angle: NDArray[np.float64] = np.linalg.norm(self.turn.astype(np.float64), axis=1)
        return np.rad2deg(angle)

    @property
    def distance_angstrom(self) -> NDArray[np.float64]:
        """Length (P,) of the change of each particle's shift, Å."""
        length: NDArray[np.float64] = np.linalg.norm(self.shift_angstrom.astype(np.float64), axis=1)
        return length

    def save(self, path: Path) -> None:
        """Write an .npz."""
        with write_atomically(path) as temporary:
            np.savez(
                temporary,
                turn=self.turn.astype(np.float32),
                shift_angstrom=self.shift_angstrom.astype(np.float32),
                spread=_as_array(self.spread),
                left=_as_array(self.left),
            )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If it is missing or damaged.
        """
        arrays = read_npz(path, "refined poses", CURE)
        with reading(path, "refined poses", CURE):
            turn, shift = arrays["turn"], arrays["shift_angstrom"]
            spreads = [arrays["spread"], arrays.get("left", np.zeros(2))]
            shapes = [array.shape for array in (turn, shift, *spreads)]
            if shapes != [(len(turn), 3), (len(turn), 2), (2,), (2,)]:
                raise ValueError(f"arrays of shapes {shapes}")
            if not (np.isfinite(turn).all() and np.isfinite(shift).all()):
                raise ValueError("turns or shifts that are no numbers")
            return cls(turn, shift, *(PoseSpread(float(s[0]), float(s[1])) for s in spreads))


def _as_array(spread: PoseSpread) -> NDArray[np.float64]:
    return np.array([spread.turn, spread.shift_angstrom])
