"""The maps at rest of a run against the true structure, and against what the truth would give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.at_rest.make_maps import Making, group_particles, make_maps
from cryoparts.at_rest.run_regions import make_regions, molecule_mask
from cryoparts.evaluation.maps.rest_accuracy import RestStructure, region_accuracies
from cryoparts.evaluation.maps.rest_oracle import true_bodies, true_core
from cryoparts.io.mrc import read_map

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.evaluation.maps.rest_accuracy import RegionAccuracy
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.reconstruction.source import ImageSource
    from cryoparts.simulation.ground_truth import MotionTruth

    Map = NDArray[np.float32]


@dataclass(frozen=True)
class RestEvaluation:
    """Every true region of consensus, map at rest and oracle.

    Parameters
    ----------
    regions : tuple of RegionAccuracy
        Maps "consensus", "at_rest" and "oracle"; what stays first.
    oracle_resolution_angstrom : dict of str to float or None
        By the FSC of the oracle's half maps, of each body.
    """

    regions: tuple[RegionAccuracy, ...]
    oracle_resolution_angstrom: dict[str, float | None]


def evaluate_at_rest(
    folder: Path,
    source: ImageSource,
    model: GaussianModel,
    truth: MotionTruth,
    making: Making,
) -> RestEvaluation:
    """Compare consensus and composite of a run with the truth, beside the oracle's composite.

    The oracle's map is made by the same code of the same images, with the true regions and the
    true motions.

    Parameters
    ----------
    folder : Path
        reconstruction/at_rest of the run.
    source : ImageSource
        The images that it was made of.
    model : GaussianModel
        Of the run.
    truth : MotionTruth
        Of the source's particles, in their order.
    making : Making
    """
    box, pixel = source.box_size, source.pixel_size_angstrom
    bodies = true_bodies(model, truth)
    parts = [true_core(model, truth), *((b.name, b.label, b.members) for b in bodies)]
    regions = make_regions(model, [part for part in parts if len(part[2])], box, pixel)
    groups = group_particles(source, np.ones(len(truth.names)), bodies)
    told = make_maps(source, groups, regions, model, molecule_mask(model, box, pixel), making)
    maps = {
        "consensus": _unfiltered(folder, "consensus"),
        "at_rest": _unfiltered(folder, "composite"),
        "oracle": 0.5 * (told.composite.volumes.half1 + told.composite.volumes.half2),
    }
    return RestEvaluation(
        tuple(region_accuracies(maps, RestStructure.of(truth, box, pixel), pixel)),
        {one.name: one.after.resolution_angstrom for one in told.judged},
    )


def _unfiltered(folder: Path, name: str) -> Map:
    first, second = (read_map(folder / f"{name}_half{k}.mrc").density for k in (1, 2))
    return np.asarray(0.5 * (first + second), dtype=np.float32)
