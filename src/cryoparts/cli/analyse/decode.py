"""`cryoparts decode`: what the trained networks say of each particle, as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cryoparts.cli.console import say
from cryoparts.cli.options import RunFolder


def decode(
    run: RunFolder,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    particles: Path | None = None,
) -> None:
    """Write relative amplitudes (P, N) and displacements (P, N, 3) in Å as .npz.

    Parameters
    ----------
    run
        Folder of a run.
    output
        The .npz file to write: names, relative_amplitudes, displacements, relative_widths.
    particles
        Text file with one particle's name a line: decode these, in this order.
    """
    from cryoparts.pipeline.particles import decode_particles
    from cryoparts.run.run import Run

    made = decode_particles(Run.open(run), output, particles)
    shapes = ", ".join(f"{name} {shape}" for name, shape in made.shapes.items())
    say(f"{made.path}: {shapes}")
