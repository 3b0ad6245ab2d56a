"""Particles as pictures: as they are, filtered, as a model has them, and averaged by view."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from PIL import Image

from cryoparts.image_model.losses import resolution_band
from cryoparts.imaging.ctf import CtfBatch, contrast_transfer
from cryoparts.imaging.fourier import inverse_transform, ring_index, shift_phases, transform
from cryoparts.imaging.projection import project

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.image_model.deformation import Gaussians
    from cryoparts.particles.prepared import PreparedParticles
    from cryoparts.run.run import Run

    IntArray = NDArray[np.int64]
    FloatArray = NDArray[np.float64]

NOISE_TO_SIGNAL = 0.2
"""Of the Wiener filter: below the first zero of the CTF the images of proteins are seen clearly."""

SHARE_OF_BAND = 0.5
"""Of the band that the run compares, which is shown of a single image: beyond it is noise."""

EDGE_RINGS = 3
"""Over which the band ends softly."""

DIRECTIONS = 40
"""From which particles are seen: 23° from each to the next."""

MOST_AVERAGED = 300
"""Particles of an average: more look the same, and an average costs 0.3 s at 128 pixels."""

CUT_PERCENT = 0.5
"""Of the pixels at either end of the grey scale."""


def png(image: NDArray[np.floating]) -> str:
    """A picture in grey, as an address that a page can show; black is least."""
    low, high = np.percentile(image, [CUT_PERCENT, 100 - CUT_PERCENT])
    scaled = (image - low) / max(float(high - low), 1e-30)
    grey = np.clip(255 * scaled + 0.5, 0, 255).astype(np.uint8)
    written = io.BytesIO()
    Image.fromarray(grey).save(written, "PNG")
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode()


@dataclass(frozen=True)
class ViewAverage:
    """Averages of particles seen from one direction, turned upright alike.

    Parameters
    ----------
    chosen, others : array, shape (D, D), or None
        Of the chosen particles, and of the others; None where there is none.
    chosen_count, others_count : int
        Particles averaged.
    """

    chosen: FloatArray | None
    others: FloatArray | None
    chosen_count: int
    others_count: int


@dataclass(frozen=True)
class ParticleImages:
    """The working images of a run as a person looks at them.

    Parameters
    ----------
    particles : PreparedParticles
    band_ring : int
        Last Fourier ring that the run compares.
    """

    particles: PreparedParticles
    band_ring: int

    @classmethod
    def of(cls, run: Run) -> Self:
        """Those of a run, filtered to the band that it compares."""
        particles, training = run.particles, run.training
        band = resolution_band(
            particles.box_size,
            particles.pixel_size_angstrom,
            training.min_resolution_angstrom,
            training.max_resolution_angstrom,
        )
        return cls(particles, band.last)

    @property
    def finest_ring(self) -> int:
        """Last Fourier ring that is shown of single images."""
        return max(1, round(SHARE_OF_BAND * self.band_ring))

    @property
    def finest_angstrom(self) -> float:
        """Resolution of the filtered images, Å."""
        return self.particles.box_size * self.particles.pixel_size_angstrom / self.finest_ring

    def raw(self, rows: IntArray) -> FloatArray:
        """The working images (n, D, D), protein bright."""
        return self.particles.images(rows).numpy().astype(np.float64)

    def filtered(self, rows: IntArray) -> FloatArray:
        """The same with the CTF undone where it is strong, and without the noise beyond."""
        return self._shown(transform(self.particles.images(rows)), self._transfer(rows))

    def of_model(self, gaussians: Gaussians, rows: IntArray) -> FloatArray:
        """What the Gaussians give where these particles lie, filtered as `filtered` does."""
        shift = torch.as_tensor(self.particles.poses.shift_angstrom[rows], dtype=torch.float32)
        box, pixel = self.particles.box_size, self.particles.pixel_size_angstrom
        projected = project(
            gaussians.positions,
            gaussians.amplitudes,
            gaussians.widths,
            torch.as_tensor(self.particles.poses.rotation[rows], dtype=torch.float32),
            box,
            pixel,
        )
        transfer = self._transfer(rows)
        return self._shown(projected * shift_phases(shift, box, pixel) * transfer, transfer)

    def averages(self, chosen: NDArray[np.bool_], most: int = 3) -> list[ViewAverage]:
        """Averages (P,) of the chosen particles, from the directions that most are seen from.

        Particles of one direction differ by a turn of the image, which is undone; averaged
        over all directions, a molecule is a blob.
        """
        nearest = self._nearest_direction
        counts = np.bincount(nearest[chosen], minlength=len(self._directions))
        found = []
        for direction in np.argsort(-counts, kind="stable")[:most]:
            if not counts[direction]:
                break
            here = nearest == direction
            groups = [_spread(np.flatnonzero(here & mask)) for mask in (chosen, ~chosen)]
            means = [self._average(rows, int(direction)) if len(rows) else None for rows in groups]
            found.append(ViewAverage(means[0], means[1], len(groups[0]), len(groups[1])))
        return found

    @cached_property
    def _directions(self) -> FloatArray:
        """Unit vectors spread evenly over the sphere (a Fibonacci lattice)."""
        step = np.arange(DIRECTIONS) + 0.5
        z, turn = 1 - 2 * step / DIRECTIONS, np.pi * (1 + np.sqrt(5)) * step
        flat = np.sqrt(1 - z**2)
        return np.stack([flat * np.cos(turn), flat * np.sin(turn), z], axis=1)

    @cached_property
    def _nearest_direction(self) -> IntArray:
        """The direction (P,) that each particle is seen from: the third row of its rotation."""
        seen = self.particles.poses.rotation[:, 2, :]
        return np.asarray((seen @ self._directions.T).argmax(axis=1), dtype=np.int64)

    def _average(self, rows: IntArray, direction: int) -> FloatArray:
        box, pixel = self.particles.box_size, self.particles.pixel_size_angstrom
        poses, transfer = self.particles.poses.take(rows), self._transfer(rows)
        back = torch.as_tensor(-poses.shift_angstrom, dtype=torch.float32)
        data = transform(self.particles.images(rows)) * shift_phases(back, box, pixel)
        turned = _turned(inverse_transform(data * transfer), self._turns(poses.rotation, direction))
        # the CTF is nearly the same in all directions: its square needs no turning
        weight = transfer.square().sum(dim=0) + NOISE_TO_SIGNAL * len(rows)
        mean = transform(turned.sum(dim=0)) * self._low_pass(self.band_ring) / weight
        return inverse_transform(mean).numpy().astype(np.float64)

    def _turns(self, rotations: FloatArray, direction: int) -> FloatArray:
        """Angle (n,) by which each image is turned against the direction's own, radians."""
        along = self._directions[direction]
        across = np.cross(along, np.eye(3)[np.abs(along).argmin()])
        across /= np.linalg.norm(across)
        own = np.stack([across, np.cross(along, across), along])
        turn = rotations @ own.T
        return np.asarray(
            np.arctan2(turn[:, 1, 0] - turn[:, 0, 1], turn[:, 0, 0] + turn[:, 1, 1]), np.float64
        )

    def _transfer(self, rows: IntArray) -> Tensor:
        parameters = CtfBatch.from_parameters(self.particles.ctf, rows, device=torch.device("cpu"))
        box, pixel = self.particles.box_size, self.particles.pixel_size_angstrom
        return contrast_transfer(parameters, box, pixel)

    def _low_pass(self, last_ring: int) -> Tensor:
        """1 up to a ring, then down to 0 along a cosine."""
        beyond = (ring_index(self.particles.box_size) - last_ring) / EDGE_RINGS
        return 0.5 + 0.5 * torch.cos(torch.pi * beyond.clamp(0, 1))

    def _shown(self, half_planes: Tensor, transfer: Tensor) -> FloatArray:
        # a transfer function may be complex (beam tilt): its conjugate undoes the phase
        filtered = half_planes * transfer.conj() / (transfer.abs().square() + NOISE_TO_SIGNAL)
        return (
            inverse_transform(filtered * self._low_pass(self.finest_ring))
            .numpy()
            .astype(np.float64)
        )


def _spread(rows: IntArray) -> IntArray:
    """At most 300 of the rows, spread over them."""
    most = min(len(rows), MOST_AVERAGED)
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _turned(images: Tensor, angles: FloatArray) -> Tensor:
    """Images (n, D, D) turned back by angles (n,) about pixel D // 2."""
    turn = torch.as_tensor(angles, dtype=torch.float32)
    cos, sin = torch.cos(turn), torch.sin(turn)
    matrix = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    box = images.shape[-1]
    # in units where the image reaches from -1 to 1, pixel D // 2 is not at 0
    centre = torch.full((2, 1), (2 * (box // 2) + 1) / box - 1)
    moved = torch.cat([matrix, centre - matrix @ centre], dim=2)
    grid = torch.nn.functional.affine_grid(moved, [len(images), 1, box, box], align_corners=False)
    sampled = torch.nn.functional.grid_sample(images[:, None], grid, align_corners=False)
    return sampled[:, 0]
