"""What a run leaves for other jobs of a RELION project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoparts.pipeline.exports.particles import classes_of_parts, export_particles
from cryoparts.pipeline.focus import part_numbers
from cryoparts.pipeline.progress import Progress, silent

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.export.relion_job import Kind, RelionJob
    from cryoparts.run.run import Run

GOOD = "good.star"


def leave_for_relion(run: Run, job: RelionJob, progress: Progress = silent) -> Path:
    """Write the particles of the states into the job's folder, and list them, maps and masks.

    Returns
    -------
    Path
        RELION_OUTPUT_NODES.star.

    Raises
    ------
    InputError
        If the particle file has moved.
    """
    parts = part_numbers(run)
    nodes: list[tuple[Path, Kind]] = []
    if parts:
        classes = classes_of_parts(run, parts)
        for one in export_particles(run, classes, ("relion",), job.folder, progress):
            nodes += [(path, "particles") for path in one.files]
    good = run.directory.selections_path / GOOD
    if good.is_file():
        nodes.append((good, "particles"))
    for part in parts:
        maps = run.directory.reconstruction_path(part).glob("state_?.mrc")
        nodes += [(path, "map") for path in sorted(maps)]
    nodes += [(path, "mask") for path in sorted(run.directory.masks_path.glob("*.mrc"))]
    return job.write_nodes(nodes)
