"""Each part at rest for other programs: particles in its own poses, its mask and map about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.at_rest.bodies import recentred
from cryoparts.export.part_poses import centred_on, nearest_voxel
from cryoparts.io.map_frame import ABOUT_BOX_CENTRE
from cryoparts.pipeline.exports.posed_particles import write_in_poses

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from cryoparts.at_rest.bodies import Body
    from cryoparts.at_rest.composite import Region
    from cryoparts.at_rest.make_maps import MapsAtRest
    from cryoparts.config import RunConfig
    from cryoparts.particles.original_images import OriginalImages


PRESENT = 0.5
"""Least probability of having a part with which a particle is in the part's file."""


def write_part_files(
    folder: Path,
    config: RunConfig,
    source: OriginalImages,
    bodies: Sequence[Body],
    regions: Sequence[Region],
    made: MapsAtRest,
) -> dict[str, list[float]]:
    """Write part_k.star (and .cs), part_k_centred.mrc and mask_part_k_centred.mrc.

    Particles are those that more probably than not have the part.

    Parameters
    ----------
    folder : Path
    config : RunConfig
    source : OriginalImages
    bodies : sequence of Body
    regions : sequence of Region
        With a mask of each body.
    made : MapsAtRest

    Returns
    -------
    dict of str to list of float
        Of each part: the point (x, y, z) about which its files are, Å about the box centre.
    """
    masks = {region.name: region.mask for region in regions}
    pixel = source.pixel_size_angstrom
    centres = {}
    for body in bodies:
        centre = nearest_voxel(body.motion.centre, pixel)
        centres[body.name] = centre.tolist()
        rows = np.flatnonzero(body.weight > PRESENT)
        _write_particles(folder / body.name, config, source, rows, body, centre)
        for name, density in (
            (f"{body.name}_centred", made.bodies[body.name].whole),
            (f"mask_{body.name}_centred", masks[body.name]),
        ):
            ABOUT_BOX_CENTRE.write(
                folder / f"{name}.mrc", centred_on(density, centre, pixel), pixel
            )
    return centres


def _write_particles(
    stem: Path,
    config: RunConfig,
    source: OriginalImages,
    chosen: NDArray[np.int64],
    body: Body,
    centre: NDArray[np.float64],
) -> None:
    composed = body.motion.take(chosen).composed(source.poses.take(chosen))
    write_in_poses(stem, config, source, chosen, recentred(composed, centre))
