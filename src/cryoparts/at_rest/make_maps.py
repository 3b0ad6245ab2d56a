"""From images and moving bodies to maps at rest, in one pass over the images."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.at_rest.composite import CONSENSUS, Composite, compose, judge_region
from cryoparts.at_rest.ownership import shares
from cryoparts.at_rest.regions import Quality, Volumes
from cryoparts.errors import InputError
from cryoparts.reconstruction.backprojection import PROCESSOR, Chosen
from cryoparts.reconstruction.half_maps import gather_half_sums
from cryoparts.reconstruction.local_resolution import local_resolution
from cryoparts.reconstruction.map_threads import each_map
from cryoparts.reconstruction.passes import USUAL_GIGABYTES, images_read
from cryoparts.reconstruction.windows import effective_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import torch
    from numpy.typing import NDArray

    from cryoparts.at_rest.bodies import Body
    from cryoparts.at_rest.composite import JudgedRegion, Kind, Region
    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.reconstruction.source import ImageSource

    FloatArray = NDArray[np.float64]
    Map = NDArray[np.float32]


@dataclass(frozen=True)
class Making:
    """How maps are made.

    Parameters
    ----------
    padding : int
        1 or 2.
    memory_gigabytes : float
        For the Fourier sums that are made at once.
    threads : int
    seed : int
    b_factor : "auto", float or None
        Of sharpened maps, Å²; "auto" is the consensus' own within the molecule.
    device : torch.device
        Where images are inserted.
    """

    padding: int = 2
    memory_gigabytes: float = USUAL_GIGABYTES
    threads: int = 1
    seed: int = 0
    b_factor: str | float | None = None
    device: torch.device = PROCESSOR


@dataclass(frozen=True)
class MapsAtRest:
    """The consensus and the map at rest of the same particles, and what is better where.

    Parameters
    ----------
    consensus : Volumes
    consensus_shown : float32 array, shape (D, D, D)
        Filtered region by region as the composite is, so that the two compare.
    bodies : dict of str to Volumes
        The map of each body by itself.
    composite : Composite
    judged : tuple of JudgedRegion
        In the order of the regions.
    before, after : Quality
        Of consensus and composite within the molecule's mask.
    local_before, local_after : float32 arrays, shape (D, D, D)
        Local resolution, Å.
    b_factor : float or None
        Applied to what is sharpened, Å².
    """

    consensus: Volumes
    consensus_shown: Map
    bodies: dict[str, Volumes]
    composite: Composite
    judged: tuple[JudgedRegion, ...]
    before: Quality
    after: Quality
    local_before: Map
    local_after: Map
    b_factor: float | None


@dataclass(frozen=True)
class Groups:
    """Particles as they go into the back-projection: the consensus, then every body.

    Parameters
    ----------
    consensus : Chosen
    bodies : tuple of (Body, Chosen)
        The parts.
    neighbourhoods : tuple of (Body, Chosen)
        Many small bodies that together follow a deformation; may be empty.
    """

    consensus: Chosen
    bodies: tuple[tuple[Body, Chosen], ...]
    neighbourhoods: tuple[tuple[Body, Chosen], ...] = ()

    @property
    def all(self) -> list[Chosen]:
        """In the order in which they are gathered."""
        return [self.consensus, *(c for _, c in self.bodies), *(c for _, c in self.neighbourhoods)]


def group_particles(
    source: ImageSource,
    weight: FloatArray,
    bodies: Sequence[Body],
    neighbourhoods: Sequence[Body] = (),
) -> Groups:
    """The particles of the consensus and of each body, weighted, in the bodies' own poses.

    Parameters
    ----------
    source : ImageSource
    weight : array, shape (P,)
        How much each particle counts; those of 0 are left out.
    bodies, neighbourhoods : sequences of Body

    Raises
    ------
    InputError
        If no particle counts for the consensus or a body.
    """

    def chosen(of: Body) -> tuple[Body, Chosen]:
        rows = np.flatnonzero(of.weight > 0)
        if not len(rows):
            raise InputError(of.name, "no particle has it", "Look at `cryoparts composition`.")
        poses = of.motion.take(rows).composed(source.poses.take(rows))
        return of, Chosen(rows, of.weight[rows], poses)

    rows = np.flatnonzero(weight > 0)
    if not len(rows):
        raise InputError("particles", "none of them is trusted", "Look at probability.csv.")
    return Groups(
        Chosen(rows, weight[rows]),
        tuple(chosen(body) for body in bodies),
        tuple(chosen(body) for body in neighbourhoods),
    )


def images_to_read(source: ImageSource, groups: Groups, making: Making) -> int:
    """How many images `make_maps` reads in all."""
    most = making.memory_gigabytes * 1e9
    return images_read(source, [groups.all], making.padding, most)


def make_maps(
    source: ImageSource,
    groups: Groups,
    regions: Sequence[Region],
    model: GaussianModel,
    mask: Map,
    making: Making,
    progress: Callable[[int], None] | None = None,
) -> MapsAtRest:
    """Back-project the consensus and every body, judge every region, and compose.

    All images are read once, or as often as memory makes necessary; beside the sums
    within the limit there are three maps a body.

    Parameters
    ----------
    source : ImageSource
    groups : Groups
    regions : sequence of Region
        Those named as a body may take its map; all may take the deformable one.
    model : GaussianModel
        At rest; tells where each neighbourhood is.
    mask : float32 array, shape (D, D, D)
        Soft mask around the molecule.
    making : Making
    progress : callable, optional
        Called with the number of images of each batch done; see `images_to_read`.
    """
    box, pixel, seed = source.box_size, source.pixel_size_angstrom, making.seed
    summed = gather_half_sums(
        source,
        [groups.all],
        padding=making.padding,
        threads=making.threads,
        seed=seed,
        most_bytes=making.memory_gigabytes * 1e9 if making.memory_gigabytes else math.inf,
        device=making.device,
        progress=progress,
    )
    gathered = (sums.maps() for sums in summed)
    consensus = Volumes.of(next(gathered))
    bodies = {body.name: Volumes.of(next(gathered)) for body, _ in groups.bodies}
    effective = {body.name: effective_count(c.all_weights) for body, c in groups.bodies}
    deformed = None
    if groups.neighbourhoods:
        members = [body.members for body, _ in groups.neighbourhoods]
        weights = shares(model, members, box, pixel)
        deformed = _blended_one_by_one(consensus, (Volumes.of(h) for h in gathered), weights)
    kinds = [_kinds(consensus, bodies.get(region.name), deformed) for region in regions]
    everyone = effective_count(groups.consensus.all_weights)

    def judge(one: tuple[Region, dict[Kind, Volumes]]) -> JudgedRegion:
        region, each = one
        return judge_region(region, each, pixel, effective.get(region.name, everyone), seed)

    judged = tuple(each_map(judge, zip(regions, kinds, strict=True), making.threads))
    before = Quality.of(consensus, mask, pixel, seed)
    b_factor = before.b_factor if making.b_factor == "auto" else making.b_factor
    assert not isinstance(b_factor, str)
    composite = compose(regions, judged, kinds, before, pixel, b_factor)
    as_it_was = [_unchanged(one) for one in judged]
    local_before, local_after = (
        local_resolution(v.half1, v.half2, pixel, threads=making.threads)
        for v in (consensus, composite.volumes)
    )
    return MapsAtRest(
        consensus,
        compose(regions, as_it_was, kinds, before, pixel).shown,
        bodies,
        composite,
        judged,
        before,
        Quality.of(composite.volumes, mask, pixel, seed),
        local_before,
        local_after,
        b_factor,
    )


def _kinds(
    consensus: Volumes, rigid: Volumes | None, deformed: Volumes | None
) -> dict[Kind, Volumes]:
    kinds: dict[Kind, Volumes] = {CONSENSUS: consensus}
    if rigid is not None:
        kinds["rigid"] = rigid
    if deformed is not None:
        kinds["deformable"] = deformed
    return kinds


def _unchanged(judged: JudgedRegion) -> JudgedRegion:
    """The same region with the consensus kept."""
    return replace(judged, kept=CONSENSUS)


def _blended_one_by_one(
    background: Volumes, volumes: Iterator[Volumes], weights: Sequence[Map]
) -> Volumes:
    """Blended while they are made, so that never more than one is held."""
    sums = {name: np.array(getattr(background, name)) for name in ("half1", "half2", "whole")}
    for one, weight in zip(volumes, weights, strict=True):
        for name, total in sums.items():
            total += weight * (getattr(one, name) - getattr(background, name))
    return Volumes(**sums)
