"""Maps of groups of particles (states, frames, a selection), and how they differ."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryoparts.difference_maps.difference_map import difference_map
from cryoparts.errors import InputError
from cryoparts.reconstruction.backprojection import PROCESSOR, Chosen
from cryoparts.reconstruction.fsc import resolution_at
from cryoparts.reconstruction.half_maps import gather_half_sums, weighted_map
from cryoparts.reconstruction.map_threads import MOST_AT_ONCE, ahead, each_map
from cryoparts.reconstruction.passes import USUAL_GIGABYTES, images_read, is_one_pass
from cryoparts.reconstruction.phase_randomisation import fsc_in_masks
from cryoparts.reconstruction.sharpening import guinier_plot, sharpened_map
from cryoparts.reconstruction.solvent_mask import solvent_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from cryoparts.config import ReconstructionConfig
    from cryoparts.difference_maps.difference_map import DifferenceMap
    from cryoparts.reconstruction.half_maps import HalfMaps, HalfSums, Reconstruction
    from cryoparts.reconstruction.phase_randomisation import FscCurves
    from cryoparts.reconstruction.sharpening import GuinierPlot
    from cryoparts.reconstruction.source import ImageSource

    FloatArray = NDArray[np.float64]
    Map = NDArray[np.float32]

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Group:
    """Particles that make one map.

    Parameters
    ----------
    name : str
        "state_1", "frame_1", "selected" ...
    rows : int array, shape (n,)
    weights : array, shape (n,), optional
    """

    name: str
    rows: NDArray[np.int64]
    weights: FloatArray | None = None


@dataclass(frozen=True)
class Comparison:
    """Groups that are masked alike and compared with each other: the states of one part.

    Parameters
    ----------
    groups : tuple of Group
    pairs : tuple of (name, name)
        Differences to make, first minus second; their groups share no particle.
    part_mask : float32 array, shape (D, D, D), or None
        Soft mask of the part that the groups were told apart by.
    """

    groups: tuple[Group, ...]
    pairs: tuple[tuple[str, str], ...] = ()
    part_mask: Map | None = None

    @property
    def filled(self) -> list[Group]:
        """The groups that have particles."""
        return [group for group in self.groups if len(group.rows)]

    @property
    def empty(self) -> tuple[str, ...]:
        """Names of the groups that have none."""
        return tuple(group.name for group in self.groups if not len(group.rows))


@dataclass(frozen=True)
class GroupMap:
    """What was made of one group.

    Parameters
    ----------
    reconstruction : Reconstruction
    guinier : GuinierPlot or None
        None without half maps.
    sharpened : float32 array, shape (D, D, D), or None
        None where it was not asked for or could not be made.
    b_factor : float or None
        Applied to `sharpened`, Å².
    part_curves : FscCurves or None
        FSC within the part's own mask.
    part_resolution : float or None
        Å, from `part_curves`.
    """

    reconstruction: Reconstruction
    guinier: GuinierPlot | None
    sharpened: Map | None
    b_factor: float | None
    part_curves: FscCurves | None
    part_resolution: float | None


@dataclass(frozen=True)
class PartMaps:
    """Maps of all groups, on one grid, with one solvent mask.

    Parameters
    ----------
    groups : dict of name to GroupMap
        In their order; without those that have no particles.
    differences : dict of (name, name) to DifferenceMap
    mask : float32 array, shape (D, D, D)
        Soft mask of the molecule.
    mask_source : str
        How it was made, in words.
    part_mask : float32 array, shape (D, D, D), or None
    empty : tuple of str
        Groups without particles.
    """

    groups: dict[str, GroupMap]
    differences: dict[tuple[str, str], DifferenceMap]
    mask: Map
    mask_source: str
    part_mask: Map | None
    empty: tuple[str, ...] = field(default=())


def reconstruct_groups(
    source: ImageSource,
    comparisons: Sequence[Comparison],
    options: ReconstructionConfig,
    *,
    model_mask: Map,
    given_mask: Map | None = None,
    threads: int = 1,
    seed: int = 0,
    device: torch.device = PROCESSOR,
    progress: Callable[[int], None] | None = None,
) -> Iterator[PartMaps]:
    """Reconstruct every group, then mask, FSC, filters, sharpening and differences.

    The images are read once for all comparisons together, or as often as
    `options.memory_gigabytes` makes necessary.

    Parameters
    ----------
    source : ImageSource
    comparisons : sequence of Comparison
    options : ReconstructionConfig
    model_mask : array, shape (D, D, D)
        Soft mask around the model, for where the density gives none.
    given_mask : array, shape (D, D, D), optional
        The user's mask, in place of any other.
    threads : int
    seed : int
    device : torch.device, optional
        Where images are inserted. Default: the processor.
    progress : callable, optional
        Called with the number of images of each batch done; see `images_to_read`.

    Yields
    ------
    PartMaps
        Of each comparison in turn.

    Raises
    ------
    InputError
        If no group of a comparison has a particle.
    """
    if not all(comparison.filled for comparison in comparisons):
        raise InputError("state", "none of them has a particle", "Run `cryoparts focus` again.")
    chosen = _chosen(comparisons)
    gathered = gather_half_sums(
        source,
        chosen,
        padding=options.padding,
        threads=threads,
        seed=seed,
        most_bytes=_most_bytes(options),
        device=device,
        progress=progress,
    )
    at_once = 1
    if is_one_pass(source, chosen, options.padding, _most_bytes(options)):
        # maps that are worked on at a time are as many as of one comparison with many groups
        at_once = max(1, min(threads, MOST_AT_ONCE // max(map(len, chosen), default=1)))

    def made(each: tuple[Comparison, list[HalfSums]]) -> PartMaps:
        comparison, sums = each
        halves = {group.name: of.maps() for group, of in zip(comparison.filled, sums, strict=True)}
        own = threads // at_once
        return _part_maps(comparison, halves, options, model_mask, given_mask, seed, own)

    summed = (
        (comparison, [next(gathered) for _ in comparison.filled]) for comparison in comparisons
    )
    yield from ahead(made, summed, at_once)


def images_to_read(
    source: ImageSource, comparisons: Sequence[Comparison], options: ReconstructionConfig
) -> int:
    """How many images `reconstruct_groups` reads in all."""
    return images_read(source, _chosen(comparisons), options.padding, _most_bytes(options))


def _most_bytes(options: ReconstructionConfig) -> float:
    return (options.memory_gigabytes or USUAL_GIGABYTES) * 1e9


def _chosen(comparisons: Sequence[Comparison]) -> list[list[Chosen]]:
    return [
        [Chosen(group.rows, group.weights) for group in comparison.filled]
        for comparison in comparisons
    ]


def _part_maps(
    comparison: Comparison,
    halves: dict[str, HalfMaps],
    options: ReconstructionConfig,
    model_mask: Map,
    given_mask: Map | None,
    seed: int,
    threads: int,
) -> PartMaps:
    part_mask = comparison.part_mask
    mask, mask_source = _mask(list(halves.values()), options, model_mask, given_mask)
    maps = each_map(
        lambda each: _group_map(each, mask, part_mask, options, seed), halves.values(), threads
    )
    made = dict(zip(halves, maps, strict=True))
    pairs = [pair for pair in comparison.pairs if made.keys() >= set(pair)]

    def difference(pair: tuple[str, str]) -> DifferenceMap:
        return difference_map(
            made[pair[0]].reconstruction,
            made[pair[1]].reconstruction,
            mask,
            part_mask=part_mask,
            within_part=options.test_within == "part",
            noise_kind=options.noise,
            false_discovery_rate=options.false_discovery_rate,
        )

    differences = dict(zip(pairs, each_map(difference, pairs, threads), strict=True))
    return PartMaps(made, differences, mask, mask_source, part_mask, comparison.empty)


def _mask(
    halves: list[HalfMaps],
    options: ReconstructionConfig,
    model_mask: Map,
    given_mask: Map | None,
) -> tuple[Map, str]:
    """The solvent mask, and in words where it is from."""
    if given_mask is not None:
        return given_mask, "given"
    if options.solvent_mask == "model":
        return model_mask, "around the Gaussians of the neutral model"
    pixel = halves[0].pixel_size_angstrom
    means = [0.5 * (h.half1 + h.half2) if h.has_halves else h.unfiltered for h in halves]
    try:
        return solvent_mask(means, pixel), "from the density of all the maps together"
    except InputError as fault:
        LOG.warning("%s: the mask around the model is used", fault)
        return model_mask, "around the neutral model, because no density stood out of the solvent"


def _group_map(
    halves: HalfMaps,
    mask: Map,
    part_mask: Map | None,
    options: ReconstructionConfig,
    seed: int,
) -> GroupMap:
    if not halves.has_halves:
        result = weighted_map(halves, mask, weighting=options.weighting, seed=seed)
        return GroupMap(result, None, None, None, None, None)
    masks = [mask] if part_mask is None else [mask, part_mask]
    whole, *of_part = fsc_in_masks(halves.half1, halves.half2, masks, seed=seed)
    result = weighted_map(halves, mask, weighting=options.weighting, seed=seed, curves=whole)
    pixel, fsc = result.pixel_size_angstrom, result.fsc
    guinier = guinier_plot(result.mean_of_halves, mask, fsc, pixel)
    applied = guinier.b_factor if options.b_factor == "auto" else options.b_factor
    sharpened = None
    if applied is not None and result.resolution_angstrom is not None:
        sharpened = sharpened_map(
            result.mean_of_halves, fsc, applied, result.resolution_angstrom, pixel
        )
    curves = of_part[0] if of_part else None
    resolution = None if curves is None else resolution_at(curves.corrected, len(result.map), pixel)
    return GroupMap(
        result,
        guinier,
        sharpened,
        None if sharpened is None else applied,
        curves,
        resolution,
    )
