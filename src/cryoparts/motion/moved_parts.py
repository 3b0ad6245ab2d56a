"""Particles whose parts are moved as rigid bodies, as a problem of least squares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cryoparts.image_model.deformation import displacement, put
from cryoparts.imaging.rotations import rotation_from_vector
from cryoparts.refinement.least_squares import BatchDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import Channel


@dataclass(frozen=True)
class MovedBody:
    """One part: n Gaussians, m modes, and the columns of their coordinates."""

    members: Tensor  # (n,)
    neutral: Tensor  # (n, 3), Å
    rest: Tensor  # (n, 3), Å
    centre: Tensor  # (3,), Å
    modes: Tensor  # (m, 6)
    columns: slice
    deforms: bool = False
    """Whether it moves as decoded beyond its rigid motion."""

    def places(self, screws: Tensor) -> Tensor:
        """(B, n, 3) by rotation vectors and shifts (B, 6), Å."""
        turned = (self.rest - self.centre) @ rotation_from_vector(screws[:, :3]).transpose(1, 2)
        return turned + self.centre + screws[:, None, 3:]


@dataclass(frozen=True)
class CoreMotion:
    """How the core, which the parts' motions are seen from, has moved in B particles."""

    centre: Tensor  # (3,), Å
    rotation: Tensor  # (B, 3, 3)
    shift: Tensor  # (B, 3), Å

    def taken(self, rows: Tensor | NDArray[np.int64]) -> CoreMotion:
        """In some of the particles."""
        return CoreMotion(self.centre, self.rotation[rows], self.shift[rows])

    def applied(self, places: Tensor) -> Tensor:
        """Places (k B, n, 3) that move along with the core."""
        times = len(places) // len(self.rotation)
        turned = (places - self.centre) @ self.rotation.repeat(times, 1, 1).transpose(1, 2)
        return turned + self.centre + self.shift.repeat(times, 1)[:, None]

    def undone(self, places: Tensor) -> Tensor:
        """Places (B, n, 3) as seen from the core."""
        return (places - self.centre - self.shift[:, None]) @ self.rotation + self.centre


class MovedParts(BatchDecoder):
    """Coordinates of the parts' motions to offsets, for one batch of particles.

    Parameters
    ----------
    offsets : Tensor, shape (B, N, channels)
        The decoder's.
    bodies : sequence of MovedBody
    screws : sequence of Tensor, shape (B, 6)
        Each body's motion as decoded.
    coordinates : Tensor, shape (B, m)
        Those of the decoder's own motion.
    core : CoreMotion or None
        None where the parts' motions are in the frame of the poses.
    vary : tuple
        Channels of the offsets.
    """

    def __init__(
        self,
        offsets: Tensor,
        bodies: Sequence[MovedBody],
        screws: Sequence[Tensor],
        coordinates: Tensor,
        core: CoreMotion | None,
        vary: tuple[Channel, ...],
    ) -> None:
        super().__init__()
        self.offsets, self.bodies, self.core, self.vary = offsets, bodies, core, vary
        self.screws, self.coordinates = screws, coordinates
        self.left = [self._left(body, x) for body, x in zip(bodies, screws, strict=True)]

    def _left(self, body: MovedBody, screws: Tensor) -> Tensor | None:
        """What the decoder says beyond a rigid motion (B, n, 3), as seen from the core."""
        moved = displacement(self.offsets[:, body.members], self.vary)
        if not body.deforms or moved is None:
            return None
        places = body.neutral + moved
        seen = places if self.core is None else self.core.undone(places)
        return seen - body.places(screws)

    def taken(self, rows: Tensor) -> MovedParts:
        """Of some of the particles."""
        return MovedParts(
            self.offsets[rows],
            self.bodies,
            [screws[rows] for screws in self.screws],
            self.coordinates[rows],
            None if self.core is None else self.core.taken(rows),
            self.vary,
        )

    def along_with(self, body: int, places: Tensor, coordinates: Tensor) -> Tensor:
        """Places (N, 3) that move along with one of the bodies, (B, N, 3)."""
        of = self.bodies[body]
        moves = (coordinates - self.coordinates)[:, of.columns]
        return self.with_core(replace(of, rest=places).places(self.screws[body] + moves @ of.modes))

    def with_core(self, places: Tensor) -> Tensor:
        """Places (N, 3) or (B, N, 3) that move along with the core: (B, N, 3)."""
        every = places.expand(len(self.offsets), *places.shape[-2:])
        return every if self.core is None else self.core.applied(every)

    def forward(self, coordinates: Tensor) -> Tensor:
        """(k B, m) to offsets (k B, N, channels)."""
        times = len(coordinates) // len(self.offsets)
        offsets = self.offsets.repeat(times, 1, 1)
        moves = coordinates - self.coordinates.repeat(times, 1)
        for body, screws, left in zip(self.bodies, self.screws, self.left, strict=True):
            moved = screws.repeat(times, 1) + moves[:, body.columns] @ body.modes
            places = body.places(moved)
            if left is not None:
                places = places + left.repeat(times, 1, 1)
            if self.core is not None:
                places = self.core.applied(places)
            put(offsets, body.members, places - body.neutral, self.vary)
        return offsets


@dataclass(frozen=True)
class MovedPartsOf:
    """`MovedParts` of chosen particles, from what is known of all."""

    offsets_of: Callable[[NDArray[np.int64]], Tensor]
    bodies: list[MovedBody]
    screws: list[Tensor]
    start: Tensor
    core: CoreMotion | None
    vary: tuple[Channel, ...]

    def __call__(self, rows: NDArray[np.int64]) -> MovedParts:
        """Of the particles `rows`."""
        return MovedParts(
            self.offsets_of(rows),
            self.bodies,
            [screws[rows] for screws in self.screws],
            self.start[rows],
            None if self.core is None else self.core.taken(rows),
            self.vary,
        )
