"""The decoder's answer: the one type that parts, states, motions and their judges are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Decoded:
    """Amplitudes, displacements and widths of n particles' Gaussians; None what did not vary.

    Parameters
    ----------
    names : str array, shape (n,)
        The particles' own names.
    relative_amplitudes : float array, shape (n, N), or None
        Amplitudes over each Gaussian's own where it is there, on a scale where what does
        not vary is 1.
    displacements : float array, shape (n, N, 3), or None
        Å, from the mean over the particles: a Gaussian lies at its neutral position plus
        `TrainedDecoder.mean_displacement` plus this. Whoever needs the place itself (to
        compare with an image, to draw the molecule) asks
        `TrainedDecoder.displacements_from_neutral`.
    relative_widths : float array, shape (n, N), or None
        Widths over the neutral ones.
    """

    names: NDArray[np.str_]
    relative_amplitudes: NDArray[np.floating] | None = None
    displacements: NDArray[np.floating] | None = None
    relative_widths: NDArray[np.floating] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def relative_scalars(self) -> NDArray[np.floating] | None:
        """Relative amplitudes (n, N), or relative widths where amplitudes did not vary.

        Parts and states see one number a Gaussian beside its displacement: how
        much of it is there or, failing that, how blurred it is.
        """
        amplitudes = self.relative_amplitudes
        return self.relative_widths if amplitudes is None else amplitudes

    @property
    def displacements_as_seen(self) -> NDArray[np.floating] | None:
        """Displacements (n, N, 3), Å, times how much there is of each Gaussian (0 to 1).

        Where a Gaussian is away no image says where it would be, and a network puts it anywhere.
        """
        if self.displacements is None or self.relative_amplitudes is None:
            return self.displacements
        return self.displacements * how_much_is_seen(self.relative_amplitudes)[:, :, None]

    @property
    def displacements_from_usual(self) -> NDArray[np.floating] | None:
        """As `displacements_as_seen`, from where these particles show each Gaussian."""
        if self.displacements is None or self.relative_amplitudes is None:
            return self.displacements
        seen = how_much_is_seen(self.relative_amplitudes)
        moved = self.displacements - usual_place(self.displacements, seen)
        shown: NDArray[np.floating] = moved * seen[:, :, None]
        return shown

    def of_gaussians(self, columns: NDArray[np.int64] | NDArray[np.bool_]) -> Decoded:
        """The same particles with the chosen Gaussians alone."""
        kinds = (self.relative_amplitudes, self.displacements, self.relative_widths)
        return Decoded(self.names, *(None if kind is None else kind[:, columns] for kind in kinds))

    def of_particles(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Decoded:
        """The chosen particles alone."""
        kinds = (self.relative_amplitudes, self.displacements, self.relative_widths)
        chosen = (None if kind is None else kind[rows] for kind in kinds)
        return Decoded(self.names[rows], *chosen)

    @classmethod
    def joined(cls, batches: Sequence[Decoded]) -> Decoded:
        """Batches of particles one after the other; at least one."""

        def column(name: str) -> Any:
            values = [getattr(batch, name) for batch in batches]
            return None if values[0] is None else np.concatenate(values)

        return cls(
            column("names"),
            column("relative_amplitudes"),
            column("displacements"),
            column("relative_widths"),
        )


def usual_place(places: NDArray[np.floating], seen: NDArray[np.floating]) -> NDArray[np.floating]:
    """Mean (N, 3) of places (n, N, 3) over the particles, by how much is seen (n, N) in each."""
    shown = np.maximum(seen.sum(axis=0), np.finfo(np.float32).tiny)
    mean: NDArray[np.floating] = np.einsum("sn,snc->nc", seen, places) / shown[:, None]
    return mean


def mean_square_shown(
    moved: NDArray[np.floating], seen: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Mean square (N,) of displacements as seen (n, N, 3), over the particles that show each.

    A Gaussian's particles are counted by how much they show of it, squared: one at the least.
    """
    shown = np.maximum(np.square(seen, dtype=np.float64).sum(axis=0), 1.0)
    mean: NDArray[np.float64] = np.square(moved, dtype=np.float64).sum(axis=(0, 2)) / shown
    return mean


def how_much_is_seen(relative_amplitudes: ArrayLike) -> NDArray[np.floating]:
    """Of each Gaussian (n, N): 0 where it is away, 1 where it is there, or more of it is."""
    seen: NDArray[np.floating] = np.clip(relative_amplitudes, 0.0, 1.0)
    return seen
