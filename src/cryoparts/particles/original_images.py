"""The particles' own images, read again: any box up to their own, none of it kept on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from cryoparts.config import PreprocessingConfig
from cryoparts.errors import InputError
from cryoparts.io.names import rows_of_names
from cryoparts.particles.preprocessing import Plan, plan_of, working_batch

if TYPE_CHECKING:
    import torch
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.conventions import CtfParameters, Poses
    from cryoparts.particles.particle_set import ParticleSet
    from cryoparts.particles.prepared import PreparedParticles

SMALLEST_BOX = 16
"""Pixels."""


@dataclass(frozen=True)
class OriginalImages:
    """Images of a run's P particles at a box of one's choice, in the run's order.

    They are prepared as the working images are (un-flipped, resampled, background to
    mean 0 and deviation 1, soft circular mask), batch by batch as they are asked for.
    Poses, CTFs, half sets and contrast are the run's. An `ImageSource`.

    Parameters
    ----------
    particles : ParticleSet
        As the particle file has them.
    rows : int array, shape (P,)
        The row in `particles` of each of the run's.
    prepared : PreparedParticles
        The run's.
    plan : Plan
    poses : Poses
        The run's, shape (P,).
    """

    particles: ParticleSet
    rows: NDArray[np.int64]
    prepared: PreparedParticles
    plan: Plan
    poses: Poses

    @classmethod
    def of(
        cls,
        particles: ParticleSet,
        prepared: PreparedParticles,
        config: PreprocessingConfig,
        *,
        poses: Poses | None = None,
        box_size: int | None = None,
        pixel_size_angstrom: float | None = None,
    ) -> Self:
        """Join the particle file to a run.

        Parameters
        ----------
        particles : ParticleSet
        prepared : PreparedParticles
        config : PreprocessingConfig
            Mask and normalisation of the run's working images.
        poses : Poses, optional
            Of the run's particles. Default: those of `prepared`.
        box_size : int, optional
            Pixels; the images are cropped in Fourier space. Default: their own.
        pixel_size_angstrom : float, optional
            In place of `box_size`: the even box whose pixels come nearest.

        Raises
        ------
        InputError
            If a particle of the run is not in the file, or the box does not fit.
        """
        rows = rows_of_names(
            particles.table.names,
            prepared.names,
            str(particles.table.source),
            whose="the run's",
            container="it",
            cure="Give the run its particle file back, as it was.",
        )
        own = int(np.median(particles.table.box_size))
        box = own if box_size is None else box_size
        if pixel_size_angstrom is not None:
            extent = own * float(np.median(particles.table.pixel_size_angstrom))
            box = 2 * round(0.5 * extent / pixel_size_angstrom)
        if not SMALLEST_BOX <= box <= own or box % 2:
            option = "--box-size" if pixel_size_angstrom is None else "--pixel-size"
            raise InputError(
                option,
                f"gives a box of {box} pixels; it must be even, from {SMALLEST_BOX} to the "
                f"particles' own {own}",
                "Leave it out for the particles' own box.",
            )
        chosen = PreprocessingConfig(
            box_size=box,
            mask_radius_angstrom=config.mask_radius_angstrom,
            mask_edge_pixels=config.mask_edge_pixels,
            normalise=config.normalise,
        )
        plan = plan_of(particles.table, chosen)
        return cls(particles, rows, prepared, plan, prepared.poses if poses is None else poses)

    @property
    def ctf(self) -> CtfParameters:
        """CTF parameters of the run."""
        return self.prepared.ctf

    @property
    def half_set(self) -> NDArray[np.int8]:
        """1 or 2, or 0 where unknown, shape (P,)."""
        return self.prepared.half_set

    @property
    def pixel_size_angstrom(self) -> float:
        """Å per pixel."""
        return self.plan.grid.pixel_size

    @property
    def box_size(self) -> int:
        """Side D of the images, even."""
        return self.plan.grid.box_size

    def images(self, indices: ArrayLike) -> torch.Tensor:
        """Images with protein bright, float32 (n, D, D), in the order asked for.

        Raises
        ------
        InputError
            If an image is blank or not finite.
        """
        rows = self.rows[np.asarray(indices, dtype=np.int64).reshape(-1)]
        nothing = np.zeros(len(rows), dtype=bool)
        images, _ = working_batch(self.particles, rows, self.plan, nothing)
        return -images if self.prepared.contrast_sign < 0 else images
