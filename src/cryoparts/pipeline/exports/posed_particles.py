"""Particles of a run in other poses than their file gives, as files that go on elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.export.part_poses import write_posed_cs, write_posed_star
from cryoparts.particle_files.mending import Mending
from cryoparts.particles.original_images import OriginalImages
from cryoparts.pipeline.input_checks import mending_of
from cryoparts.pipeline.start import open_particles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.config import RunConfig
    from cryoparts.conventions import Poses
    from cryoparts.run.run import Run


def export_refined_poses(run: Run, folder: Path) -> tuple[Path, ...]:
    """Write all particles in the poses that the run has refined, as refined_poses.star and .cs.

    Parameters
    ----------
    run : Run
        Whose given poses were off.
    folder : Path
        Made if it is not there.

    Returns
    -------
    tuple of Path
        The .star, and the .cs where the run was made from one.

    Raises
    ------
    InputError
        If the poses stayed as they were given, or the particle file has moved.
    """
    if run.pose_change is None:
        raise InputError(
            str(run.root),
            "no poses were refined: the given ones are as good, or --no-refine-poses was given",
            "Use the particle file that the run was made from.",
        )
    source = OriginalImages.of(open_particles(run.config), run.particles, run.config.preprocessing)
    folder.mkdir(parents=True, exist_ok=True)
    everyone = np.arange(len(run.particles))
    return write_in_poses(folder / "refined_poses", run.config, source, everyone, source.poses)


def write_in_poses(
    stem: Path,
    config: RunConfig,
    source: OriginalImages,
    chosen: NDArray[np.int64],
    poses: Poses,
) -> tuple[Path, ...]:
    """Write chosen particles in given poses.

    Parameters
    ----------
    stem : Path
        Without suffix.
    config : RunConfig
    source : OriginalImages
    chosen : int array, shape (n,)
        Of the run.
    poses : Poses
        Of these n.
    """
    rows = source.rows[chosen]
    order = np.argsort(rows, kind="stable")
    rows, poses = rows[order], poses.take(order)
    particles = source.particles
    half = particles.table.half_set.copy()
    half[source.rows] = source.half_set
    table = replace(
        particles.table, magnification=particles.magnification, half_set=half.astype(np.int8)
    )
    file = Path(config.particles)
    # else the program's table is no longer the file's, row by row
    untouched = (
        mending_of(config) == Mending() and config.symmetry is None and config.selection is None
    )
    kind = file.suffix.lower()
    relion = file if untouched and kind == ".star" and config.poses is None else None
    files = [stem.with_suffix(".star")]
    write_posed_star(files[0], table, rows, poses, relion)
    if untouched and kind == ".cs" and not config.skip_blank:
        files.append(stem.with_suffix(".cs"))
        write_posed_cs(files[1], file, rows, poses)
    return tuple(files)
