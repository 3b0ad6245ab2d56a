"""What limits a run, in numbers that it measured itself: junk, poses, signal, the smallest part."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from cryoparts.imaging.shell_correlation import ring_statistics
from cryoparts.io.files import reading
from cryoparts.io.run_directory import write_json
from cryoparts.statistics.evenly_spaced import evenly_spaced
from cryoparts.validation.visible_parts import VisibleParts

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.particles.pose_change import PoseChange
    from cryoparts.training.setup import TrainingSetup

SAMPLE = 512
"""Particles on which the signal is measured."""

BATCH = 64

SURE = 0.9
"""Share of the particles in which a part that counts as visible is called rightly."""


@dataclass(frozen=True)
class Limits:
    """What limits a run.

    Parameters
    ----------
    junk : float
        Share of the particles that are not trusted: probably not what the model describes, or
        not in their pose.
    pose_degrees, pose_angstrom : float or None
        Root mean square errors of the given poses, as the images tell them: angle and length of
        the shift. None where they are too small to be told.
    snr_by_ring : tuple of (float, float)
        Resolution (Å) of each ring that is compared, and power of the signal over that of the
        noise in it, the CTF included.
    visible : VisibleParts
        How often parts of a given mass could be called rightly.
    """

    junk: float
    pose_degrees: float | None
    pose_angstrom: float | None
    snr_by_ring: tuple[tuple[float, float], ...]
    visible: VisibleParts

    def sentences(self) -> tuple[str, ...]:
        """Of the poses, where they are off, and of the smallest part."""
        told = []
        if self.pose_degrees is not None:
            told.append(
                f"the given poses are off by about {self.pose_degrees:.1f}° and "
                f"{self.pose_angstrom:.1f} Å (root mean square); what follows is in refined poses"
            )
        share, accuracy = self.visible.share, self.visible.accuracy
        one = int(np.argmin(np.abs(share - 0.01)))
        smallest = self.visible.smallest(SURE)
        least = (
            f"none of up to {100 * share[-1]:.0f}% of the mass"
            if smallest is None
            else f"one of {100 * smallest:.1f}% of the mass"
        )
        told.append(
            f"with this signal, whoever knew its shape could call a part of "
            f"{100 * share[one]:.0f}% of the mass there or away rightly in "
            f"{100 * accuracy[one]:.0f}% of the particles, and {least} in {100 * SURE:.0f}%"
        )
        return tuple(told)

    def snr_quarters(self) -> tuple[tuple[float, float], ...]:
        """Resolution (Å) and signal-to-noise ratio of five rings, evenly over the band."""
        rings = self.snr_by_ring
        places = np.unique(np.linspace(0, len(rings) - 1, min(5, len(rings))).astype(int))
        return tuple(rings[place] for place in places)

    def save(self, path: Path) -> None:
        """Write as JSON."""
        write_json(
            path,
            {
                "junk": self.junk,
                "pose_degrees": self.pose_degrees,
                "pose_angstrom": self.pose_angstrom,
                "snr_by_ring": [list(pair) for pair in self.snr_by_ring],
                "visible_parts": {
                    name: [round(float(x), 4) for x in getattr(self.visible, name)]
                    for name in ("share", "accuracy", "lowest", "highest")
                },
            },
        )

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Read what `save` wrote; None where there is nothing.

        Raises
        ------
        InputError
            If the file is damaged.
        """
        if not path.is_file():
            return None
        with reading(path, "what limits the run", "Run `cryoparts train --resume` again."):
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            columns = found["visible_parts"]
            visible = VisibleParts(
                *(
                    np.array(columns[name], dtype=np.float64)
                    for name in ("share", "accuracy", "lowest", "highest")
                )
            )
            return cls(
                float(found["junk"]),
                found["pose_degrees"],
                found["pose_angstrom"],
                tuple((float(a), float(b)) for a, b in found["snr_by_ring"]),
                visible,
            )


def limits_of(
    trained: TrainedDecoder,
    setup: TrainingSetup,
    good: NDArray[np.bool_],
    change: PoseChange | None,
    visible: VisibleParts,
) -> Limits:
    """Put together what limits a run; its signal is measured here.

    Parameters
    ----------
    trained, setup
        Of the run.
    good : bool array, shape (P,)
        Particles that are what the model describes.
    change : PoseChange or None
        What was found to be wrong with the poses.
    visible : VisibleParts
    """
    degrees = angstrom = None
    if change is not None and len(change):
        degrees = math.degrees(change.spread.turn) * 3**0.5
        angstrom = change.spread.shift_angstrom * 2**0.5
    rows = np.flatnonzero(good)
    snr = _signal_to_noise(trained, setup, rows) if len(rows) else ()
    return Limits(1.0 - float(good.mean()), degrees, angstrom, snr, visible)


@torch.no_grad()
def _signal_to_noise(
    trained: TrainedDecoder, setup: TrainingSetup, rows: NDArray[np.int64]
) -> tuple[tuple[float, float], ...]:
    """Resolution and signal-to-noise ratio of each ring of the band.

    With c the mean correlation of images with their own models over all particles, the
    ratio is c^2 / (1 - c^2): the model has no noise.
    """
    chosen = evenly_spaced(rows, SAMPLE)
    forward, band = setup.forward, setup.objective.band
    sums = torch.zeros(3, len(setup.objective.ring_weights), device=forward.device)
    for start in range(0, len(chosen), BATCH):
        batch = forward.batch(chosen[start : start + BATCH])
        own = trained.gaussians_of(setup.neutral, chosen[start : start + BATCH])
        products = ring_statistics(batch.data, forward.images_of(own, batch))
        sums += torch.stack([p.sum(dim=0) for p in products])
    cross, of_data, of_model = sums.double().cpu().numpy()
    agreement = np.clip(cross, 0, None) / np.sqrt(np.maximum(of_data * of_model, 1e-300))
    squared = np.minimum(agreement**2, 0.999999)
    side = forward.particles.box_size * forward.particles.pixel_size_angstrom
    return tuple(
        (side / ring, float(squared[ring] / (1 - squared[ring])))
        for ring in range(band.first, band.last + 1)
    )
