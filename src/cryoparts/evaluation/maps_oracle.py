"""The best that the images allow where particles come from maps: a solver told the maps.

Each particle's image is compared with the projection of every map in the particle's
true pose and CTF; the map that explains most of it, each frequency weighted by the
inverse of the noise's power, is the answer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from sklearn.metrics import normalized_mutual_info_score

from cryoparts.evaluation.oracle import PARTICLES_FOR_NOISE, FitInputs, ImagesOf, estimate_noise
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import transform
from cryoparts.io.mrc import read_map
from cryoparts.simulation.map_projection import FourierMap, project_map

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.conventions import CtfParameters, Poses
    from cryoparts.simulation.ground_truth import MapsTruth
    from cryoparts.simulation.options import Progress

BATCH = 64
"""Particles solved together: bounds the memory, changes no number."""


@dataclass(frozen=True)
class MapsOracle:
    """Which map each particle is taken for.

    Parameters
    ----------
    rows : list of int
        The particles.
    map_index : list of int
        The map that explains most of each.
    accuracy : float
        Share of particles given the map that they came from.
    information : float
        Normalised mutual information of given and true maps.
    """

    rows: list[int]
    map_index: list[int]
    accuracy: float
    information: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return asdict(self)


def maps_oracle(
    images_of: ImagesOf,
    maps: Sequence[Path],
    truth: MapsTruth,
    poses: Poses,
    ctf: CtfParameters,
    box_size: int,
    pixel_size_angstrom: float,
    rows: NDArray[np.int64],
    progress: Progress | None = None,
) -> MapsOracle:
    """Give each of the chosen particles the map that explains its image best.

    Parameters
    ----------
    images_of : callable
        Gives the images of chosen particles, of any scale; protein bright.
    maps : sequence of Path
        In the order of the truth's.
    truth : MapsTruth
        Of the P particles, in their order.
    poses, ctf
        Of the P particles.
    box_size, pixel_size_angstrom
        Of the images.
    rows : int array, shape (n,)
        The particles to solve.
    progress : callable, optional
        Called with particles done and all particles.
    """
    if len(maps) != len(truth.map_names):
        raise ValueError(f"{len(maps)} maps given, the truth names {len(truth.map_names)}")
    transforms = []
    for path in maps:
        read = read_map(path)
        transforms.append(FourierMap.of(read.density, read.voxel_size))

    def inputs(chosen: NDArray[np.int64]) -> FitInputs:
        transfer = contrast_transfer(ctf.take(chosen), box_size, pixel_size_angstrom)
        taken = poses.take(chosen)
        planes = [
            project_map(each, taken.rotation, taken.shift_angstrom, box_size, pixel_size_angstrom)
            for each in transforms
        ]
        templates = torch.from_numpy(np.stack(planes, axis=1)) * transfer[:, None]
        images = torch.as_tensor(images_of(chosen), dtype=torch.float32)
        return FitInputs(transform(images), templates, transfer.abs().square())

    spread = np.linspace(0, len(poses) - 1, min(len(poses), PARTICLES_FOR_NOISE))
    noise = estimate_noise(inputs, np.unique(spread.astype(np.int64)), box_size)
    found = np.zeros(len(rows), dtype=np.int64)
    for start in range(0, len(rows), BATCH):
        part = slice(start, min(start + BATCH, len(rows)))
        given = inputs(rows[part])
        weights = noise.weights(given.squared_ctf)[:, None]
        product = (weights * (given.templates.conj() * given.images[:, None]).real).sum(dim=(2, 3))
        power = (weights * given.templates.abs().square()).sum(dim=(2, 3)).clamp(min=1e-30)
        # The scale that fits best explains product² / power of the image; a negative one nothing.
        explained = product.clamp(min=0.0).square() / power
        found[part] = explained.argmax(dim=1).numpy()
        if progress is not None:
            progress(part.stop, len(rows))
    true = truth.map_index[rows]
    return MapsOracle(
        rows=rows.tolist(),
        map_index=found.tolist(),
        accuracy=float((found == true).mean()),
        information=float(normalized_mutual_info_score(true, found)),
    )
