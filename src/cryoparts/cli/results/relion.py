"""`cryoparts relion`: everything, as an External job of RELION."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import DISPLAY, OUT, progress_bars, say
from cryoparts.cli.ending import TerminatedError
from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoparts.export.relion_job import RelionJob

RUN = "run"
"""The run folder, within the job's."""

EXECUTABLE = "cryoparts-relion"


def relion(
    *options: Annotated[str, Parameter(allow_leading_hyphen=True, help="Options of `run`.")],
    o: Annotated[Path, Parameter(name="--o", help="The job's folder: External/job001/.")],
    in_parts: Annotated[
        Path | None, Parameter(name="--in_parts", help="Particles (.star).")
    ] = None,
    in_3dref: Annotated[Path | None, Parameter(name="--in_3dref", help="Map (.mrc).")] = None,
    in_mask: Annotated[Path | None, Parameter(name="--in_mask", help="Is not used.")] = None,
    j: Annotated[int, Parameter(name="--j", help="Threads.")] = 1,
    pipeline_control: Annotated[
        str | None, Parameter(name="--pipeline_control", show=False)
    ] = None,
) -> None:
    """Run everything in a job's folder, as RELION calls it; all other options are those of `run`.

    The executable cryoparts-relion does the same. docs/relion.md shows what to fill in.
    """
    from cryoparts.export.relion_job import RelionJob

    del pipeline_control
    job = RelionJob(o)
    job.begin()
    try:
        with job.watched(), DISPLAY.lines_on(OUT):  # run.err is for what is wrong
            if in_parts is None:
                raise InputError(
                    "Input particles", "is empty", "Name a particle file on RELION's screen."
                )
            if in_mask is not None:
                say(f"{in_mask}: a mask is not used; the maps get masks of their own")
            _run(job, in_parts, in_3dref, j, list(options))
    except (TerminatedError, KeyboardInterrupt):
        job.end("ABORTED")
        raise
    except BaseException:
        job.end("FAILURE")
        raise
    job.end("SUCCESS")


def _run(
    job: RelionJob, particles: Path, reference: Path | None, threads: int, options: Sequence[str]
) -> None:
    from cryoparts.cli.main import build_app
    from cryoparts.pipeline.exports.relion_job import leave_for_relion
    from cryoparts.run.run import Run

    given = {"in_part": str(particles)} | ({"in_3dref": str(reference)} if reference else {})
    job.write_job(EXECUTABLE, given | _parameters(options), threads)
    folder = job.folder / RUN
    model = ["--model", str(reference)] if reference and "--model" not in options else []
    resume = ["--resume"] if folder.is_dir() else []
    words = [
        *("run", str(particles), *model, "-o", str(folder), "--threads", str(max(threads, 1))),
        *(*resume, *options),
    ]
    command, bound, _ = build_app().parse_args(words, exit_on_error=False, print_error=False)
    command(*bound.args, **bound.kwargs)
    opened = Run.open(folder)
    with opened.directory.logging(), progress_bars() as progress:
        nodes = leave_for_relion(opened, job, progress)
    say(f"for other jobs: {nodes}")


def _parameters(options: Sequence[str]) -> dict[str, str]:
    """Free parameters: labels (options without their dashes) and values."""
    found: dict[str, str] = {}
    label = ""
    for word in options:
        if word.startswith("--"):
            label = word.removeprefix("--")
            found[label] = ""
        elif label:
            found[label] = f"{found[label]} {word}".strip()
    return found
