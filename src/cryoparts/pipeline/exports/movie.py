"""Movies of what a part does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cryoparts.errors import InputError
from cryoparts.export.movie_file import SUFFIXES, require_movie, write_movie, writes_mp4
from cryoparts.figures.part_states import read_part_states
from cryoparts.figures.state_maps import read_state_maps
from cryoparts.pipeline.exports.movie_frames import motion_frames, state_frames
from cryoparts.pipeline.progress import Progress, counting, silent

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.run.run import Run

Shown = Literal["motion", "states"]


@dataclass(frozen=True)
class MovieMade:
    """A movie.

    Parameters
    ----------
    path : Path
    of : str
        "motion" or "states".
    frames : int
    """

    path: Path
    of: Shown
    frames: int


def usual_suffix() -> str:
    """.mp4 where it can be written, else .gif."""
    return SUFFIXES[0] if writes_mp4() else SUFFIXES[1]


def make_movie(
    run: Run,
    part: int,
    path: Path,
    *,
    of: Shown | None = None,
    seconds: float = 4.0,
    frames_a_second: int = 12,
    size: int = 400,
    progress: Progress = silent,
) -> MovieMade:
    """Write what a part does as .mp4 or .gif: its motion where that is known, else its states.

    Parameters
    ----------
    run : Run
    part : int
    path : Path
        .mp4 or .gif.
    of : {"motion", "states"}, optional
    seconds, frames_a_second : float, int
    size : int
        Pixels of the picture's side.
    progress : callable

    Raises
    ------
    InputError
        If neither motion nor maps of states are there, or the file cannot be written so.
    """
    summary = run.motions
    content = None if summary is None else summary["parts"].get(f"part_{part}")
    chosen = of or ("motion" if content is not None else "states")
    count = max(int(seconds * frames_a_second), 2)
    done = counting(progress, f"drawing part {part}")
    require_movie(path)
    if chosen == "motion":
        if content is None:
            raise InputError(
                f"--part part_{part}", "its motion is not known", f"cryoparts motion {run.root}"
            )
        prepared = run.particles
        frames = motion_frames(
            run.model, run.parts, part, content, count=count, size=size,
            box_size=prepared.box_size, pixel_size=prepared.pixel_size_angstrom, done=done,
        )  # fmt: skip
    else:
        states = read_part_states(run.directory, [part]).get(part)
        maps = None if states is None else read_state_maps(states)
        if maps is None:
            raise InputError(
                f"--part part_{part}",
                "there are no maps of its states",
                f"cryoparts reconstruct {run.root}",
            )
        frames = state_frames(maps, run.model, run.parts, count=count, size=size, done=done)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_movie(path, frames, frames_a_second)
    return MovieMade(path, chosen, len(frames))
