"""Other conventions than the file's, told by the user.

Each is its own inverse, and any may be combined:

- ``--transpose-poses``: R becomes its transpose, for rotations that take the image
  to the reference.
- ``--mirror-hand``: R becomes M R M with M = diag(1, 1, -1). The projections of the
  model at these poses are the projections of its mirror image at the poses of the
  file, since the sum along z does not see the z of the image. So the images are
  explained by the model as it is given, and everything that a run writes (Gaussians,
  maps, masks, coordinates) has the model's hand and lies on it: an atomic model is
  never turned into its mirror image. Rows of the particle file that are exported keep
  their own poses, which belong to the mirror image in the program that made them.
- ``--invert-shifts``: t becomes -t.
- ``--invert-aberrations``: antisymmetric phases change their sign.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import product
from typing import TYPE_CHECKING, Self

import numpy as np

from cryoparts.conventions import AberratedCtfParameters, Poses, with_aberrations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryoparts.conventions import CtfParameters
    from cryoparts.particle_files.particle_table import ParticleTable

MIRROR = np.diag([1.0, 1.0, -1.0])
AS_GIVEN = "as given"
WORDS = {
    "transpose_poses": "rotations transposed",
    "mirror_hand": "mirror hand",
    "invert_shifts": "shifts reversed",
    "invert_aberrations": "odd aberrations reversed",
}


@dataclass(frozen=True)
class Mending:
    """Which conventions are changed from the file's to ours."""

    transpose_poses: bool = False
    mirror_hand: bool = False
    invert_shifts: bool = False
    invert_aberrations: bool = False

    @classmethod
    def all_of(cls, *, aberrations: bool) -> Iterator[Self]:
        """Every combination for the poses, the file's own first; then odd aberrations alone."""
        for transposed, mirrored, reversed_ in product((False, True), repeat=3):
            yield cls(transposed, mirrored, reversed_)
        if aberrations:
            yield cls(invert_aberrations=True)

    @property
    def label(self) -> str:
        """In words, ``as given`` for none."""
        changed = [WORDS[f.name] for f in fields(self) if getattr(self, f.name)]
        return ", ".join(changed) or AS_GIVEN

    @property
    def options(self) -> str:
        """As command line options."""
        return " ".join(
            "--" + f.name.replace("_", "-") for f in fields(self) if getattr(self, f.name)
        )

    def combined(self, other: Mending) -> Mending:
        """Both, one after the other."""
        return Mending(*(getattr(self, f.name) != getattr(other, f.name) for f in fields(self)))

    def poses(self, poses: Poses) -> Poses:
        """The poses in our convention."""
        rotation, shift = poses.rotation, poses.shift_angstrom
        if self.transpose_poses:
            rotation = np.swapaxes(rotation, 1, 2)
        if self.mirror_hand:
            rotation = MIRROR @ rotation @ MIRROR
        return Poses(rotation, -shift if self.invert_shifts else shift)

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


def has_odd_aberrations(ctf: CtfParameters) -> bool:
    """Whether an optics group has antisymmetric aberrations."""
    return isinstance(ctf, AberratedCtfParameters) and bool(ctf.aberrations.odd_zernike.any())
