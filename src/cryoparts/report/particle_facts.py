"""What the cache of working images says of the particles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.particle_files.row_identity import in_words
from cryoparts.particles.prepared import PARTICLES, PreparedParticles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.conventions import CtfParameters, Poses


@dataclass(frozen=True)
class ParticleFacts:
    """P particles as they were trained on; the images themselves are not read."""

    names: NDArray[np.str_]
    poses: Poses
    ctf: CtfParameters
    pixel_size_angstrom: float
    box_size: int
    contrast_sign: int
    half_sets: tuple[int, int, int]
    """Number of particles in half set 1, in half set 2, and in neither."""
    image: NDArray[np.int64]
    """Number (P,) of the image that each row shows."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def image_count(self) -> int:
        """How many different images the rows show."""
        return len(np.unique(self.image))

    def rows(self) -> list[tuple[str, str]]:
        """(what, value) lines for people."""
        one, two, none = self.half_sets
        defocus = 0.5e-4 * (self.ctf.defocus_u_angstrom + self.ctf.defocus_v_angstrom)
        halves = f"{one:,} and {two:,}" + (f", {none:,} in neither" if none else "")
        contrast = "bright" if self.contrast_sign > 0 else "dark"
        low, high = np.quantile(defocus, [0.0, 1.0]) if len(defocus) else (0.0, 0.0)
        return [
            ("particles", in_words(len(self), self.image_count)),
            ("working box", f"{self.box_size} × {self.box_size} pixels"),
            ("working pixel size", f"{self.pixel_size_angstrom:.4g} Å"),
            ("finest resolution in the images", f"{2 * self.pixel_size_angstrom:.3g} Å (Nyquist)"),
            ("contrast of the raw images", f"protein {contrast} (sign {self.contrast_sign:+d})"),
            ("half sets", halves if one or two else "not given"),
            ("defocus", f"{low:.2f} to {high:.2f} µm"),
        ]


def read_particle_facts(folder: Path) -> ParticleFacts | None:
    """Open the cache; None where there is none.

    Raises
    ------
    InputError
        If it is damaged.
    """
    if not (folder / PARTICLES).is_file():
        return None
    prepared = PreparedParticles.open(folder)
    halves = np.asarray(prepared.half_set)
    return ParticleFacts(
        names=prepared.names,
        poses=prepared.poses,
        ctf=prepared.ctf,
        pixel_size_angstrom=prepared.pixel_size_angstrom,
        box_size=prepared.box_size,
        contrast_sign=prepared.contrast_sign,
        half_sets=(int((halves == 1).sum()), int((halves == 2).sum()), int((halves == 0).sum())),
        image=prepared.image,
    )
