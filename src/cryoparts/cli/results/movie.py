"""`cryoparts movie`: what a part does, as .mp4 or .gif."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from cryoparts.cli.analyse.focus import PartName
from cryoparts.cli.console import progress_bars, say
from cryoparts.cli.options import RunFolder


def movie(
    run: RunFolder,
    *,
    part: PartName = None,
    of: Annotated[
        Literal["motion", "states"] | None,
        Parameter(
            help="The part along its motion, or from state to state. Default: its motion where "
            "that is known."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        Parameter(
            name=["--output", "-o"],
            help="File (.mp4 or .gif) with --part, else a folder. Default: RUN/movies.",
        ),
    ] = None,
    seconds: Annotated[float, Parameter(help="Length.")] = 4.0,
    size: Annotated[int, Parameter(help="Side of the picture, pixels.")] = 400,
) -> None:
    """Draw a movie of every part, or of --part, without any other program."""
    from cryoparts.pipeline.exports.movie import make_movie, usual_suffix
    from cryoparts.pipeline.focus import part_numbers
    from cryoparts.run.run import Run

    opened = Run.open(run)
    one_file = output is not None and output.suffix != ""
    folder = output if output is not None and not one_file else opened.root / "movies"
    with progress_bars() as progress:
        for number in part_numbers(opened, part):
            name = folder / f"part_{number}{usual_suffix()}"
            path = output if one_file and output is not None and part is not None else name
            made = make_movie(
                opened, number, path, of=of, seconds=seconds, size=size, progress=progress
            )
            say(f"{made.path}: {made.of} of part {number}, {made.frames} frames")
