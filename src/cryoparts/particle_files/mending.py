"""Other conventions than the file's, told by the user.

Any may be combined:

- ``--transpose-poses``: R becomes its transpose, for rotations that take the image
  to the reference.
- ``--mirror-hand``: R becomes M R M with M = diag(1, 1, -1). The projections of the
  model at these poses are the projections of its mirror image at the poses of the
  file, since the sum along z does not see the z of the image. So the images are
  explained by the model as it is given, and everything that a run writes (Gaussians,
  maps, masks, coordinates) has the model's hand and lies on it: an atomic model is
  never turned into its mirror image. Rows of the particle file that are exported keep
  their own poses, which belong to the mirror image in the program that made them.
- ``--model-axes=-x,y,z``: the particles show the model with these axes. R becomes R A with
  A = diag(-1, 1, 1), and M R A where A mirrors; ``x,y,-z`` is what ``--mirror-hand`` does. RELION
  mirrors maps along x, ChimeraX along z, and arrays are written with their axes in either order.
- ``--model-shift X Y Z``: the particles show the model moved by (X, Y, Z) Å: t becomes
  t + R (X, Y, Z).
- ``--invert-shifts``: t becomes -t.
- ``--invert-aberrations``: antisymmetric phases change their sign.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations, product
from typing import TYPE_CHECKING, Self

import numpy as np

from cryoparts.conventions import AberratedCtfParameters, Poses, with_aberrations
from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cryoparts.conventions import CtfParameters, FloatArray
    from cryoparts.particle_files.particle_table import ParticleTable

MIRROR = np.diag([1.0, 1.0, -1.0])
AS_GIVEN = "as given"
WORDS = {
    "transpose_poses": "rotations transposed",
    "mirror_hand": "mirror hand",
    "invert_shifts": "shifts reversed",
    "invert_aberrations": "odd aberrations reversed",
}
AXES = "x,y,z"
NO_SHIFT = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Mending:
    """Which conventions are changed from the file's to ours."""

    transpose_poses: bool = False
    mirror_hand: bool = False
    invert_shifts: bool = False
    invert_aberrations: bool = False
    model_axes: str = AXES
    """Axes of the model along x, y and z of the reference, each with or without a minus."""
    model_shift_angstrom: tuple[float, float, float] = NO_SHIFT
    """Of the model with its axes as given, (x, y, z), Å."""

    def __post_init__(self) -> None:
        """Check the axes; raises InputError."""
        axes_matrix(self.model_axes)

    @classmethod
    def all_of(cls, *, aberrations: bool) -> Iterator[Self]:
        """Every combination for the poses, the file's own first; then odd aberrations alone."""
        for transposed, mirrored, reversed_ in product((False, True), repeat=3):
            yield cls(transposed, mirrored, reversed_)
        if aberrations:
            yield cls(invert_aberrations=True)

    @classmethod
    def all_axes(cls) -> Iterator[Self]:
        """The 46 other ways in which the model's axes may lie: 23 turns and 23 mirror images."""
        for order in permutations("xyz"):
            for signs in product(("", "-"), repeat=3):
                axes = ",".join(sign + axis for sign, axis in zip(signs, order, strict=True))
                if axes not in (AXES, "x,y,-z"):
                    yield cls(model_axes=axes)

    @property
    def label(self) -> str:
        """In words, ``as given`` for none."""
        changed = [words for name, words in WORDS.items() if getattr(self, name)]
        if self.model_axes != AXES:
            changed.append(f"model along {self.model_axes.replace(',', ', ')}")
        if any(self.model_shift_angstrom):
            changed.append(f"model moved by ({self._shift_text}) Å")
        return ", ".join(changed) or AS_GIVEN

    @property
    def options(self) -> str:
        """As command line options."""
        options = ["--" + name.replace("_", "-") for name in WORDS if getattr(self, name)]
        if self.model_axes != AXES:
            options.append(f"--model-axes={self.model_axes}")
        if any(self.model_shift_angstrom):
            options.append(self.shift_option)
        return " ".join(options)

    @property
    def shift_option(self) -> str:
        """The model's shift as a command line option."""
        return f"--model-shift {self._shift_text}"

    @property
    def _shift_text(self) -> str:
        return " ".join(f"{value:.4g}" for value in self.model_shift_angstrom)

    @property
    def reference(self) -> FloatArray:
        """What is done to the model (3, 3) so that it is as the particles show it."""
        axes = axes_matrix(self.model_axes)
        return MIRROR @ axes if self.mirror_hand else axes

    def combined(self, other: Mending) -> Mending:
        """Both, one after the other; axes and shifts only beside poses that are not transposed."""
        flags = {name: getattr(self, name) != getattr(other, name) for name in WORDS}
        axes = self.model_axes
        if (self.model_axes, other.model_axes) != (AXES, AXES):
            both = self.reference @ other.reference
            flags["mirror_hand"] = bool((both == MIRROR).all())
            axes = AXES if flags["mirror_hand"] else _axes_text(both)
        moved = np.asarray(self.model_shift_angstrom) @ other.reference
        if other.invert_shifts:
            moved = -moved
        x, y, z = (moved + np.asarray(other.model_shift_angstrom)).tolist()
        return Mending(**flags, model_axes=axes, model_shift_angstrom=(x, y, z))

    def poses(self, poses: Poses) -> Poses:
        """The poses in our convention."""
        rotation, shift = poses.rotation, poses.shift_angstrom
        if self.transpose_poses:
            rotation = np.swapaxes(rotation, 1, 2)
        reference = self.reference
        if not (reference == np.eye(3)).all():
            rotation = rotation @ reference
            if np.linalg.det(reference) < 0:
                rotation = MIRROR @ rotation
        shift = -shift if self.invert_shifts else shift
        if any(self.model_shift_angstrom):
            shift = shift + (rotation @ np.asarray(self.model_shift_angstrom))[:, :2]
        return Poses(rotation, shift)

    def ctf(self, ctf: CtfParameters) -> CtfParameters:
        """The CTF parameters in our convention."""
        if not self.invert_aberrations or not isinstance(ctf, AberratedCtfParameters):
            return ctf
        return with_aberrations(ctf, ctf.aberrations.with_odd_reversed())

    def table(self, table: ParticleTable) -> ParticleTable:
        """The particles in our convention."""
        if self == Mending():
            return table
        note = f"conventions other than the file's, by options: {self.label}"
        return replace(
            table,
            poses=self.poses(table.poses),
            ctf=self.ctf(table.ctf),
            notes=(*table.notes, note),
        )


def axes_matrix(axes: str) -> FloatArray:
    """Signed permutation (3, 3) that takes a point of the model to where its axes lie.

    Parameters
    ----------
    axes : str
        "-x,y,z" takes (x, y, z) to (-x, y, z), "z,y,x" to (z, y, x).

    Raises
    ------
    InputError
        If it does not name x, y and z, each once.
    """
    named = [axis.strip() for axis in axes.lower().split(",")]
    if sorted(axis.removeprefix("-") for axis in named) != ["x", "y", "z"]:
        raise InputError(
            "--model-axes",
            f"must name x, y and z, each once, with or without a minus, got {axes!r}",
            "Write it so: --model-axes=-x,y,z",
        )
    matrix = np.zeros((3, 3))
    for row, axis in enumerate(named):
        matrix[row, "xyz".index(axis[-1])] = -1.0 if axis.startswith("-") else 1.0
    return matrix


def _axes_text(matrix: NDArray[np.float64]) -> str:
    """Inverse of `axes_matrix`."""
    places = np.abs(matrix).argmax(axis=1)
    signs = matrix[np.arange(3), places]
    return ",".join(
        ("-" if sign < 0 else "") + "xyz"[place] for sign, place in zip(signs, places, strict=True)
    )


def has_odd_aberrations(ctf: CtfParameters) -> bool:
    """Whether an optics group has antisymmetric aberrations."""
    return isinstance(ctf, AberratedCtfParameters) and bool(ctf.aberrations.odd_zernike.any())
