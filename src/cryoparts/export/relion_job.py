"""A job of RELION's External kind: the files by which RELION and a program know of each other.

RELION calls ``EXECUTABLE --o External/job001/ --in_parts FILE --in_3dref FILE --LABEL VALUE
--j THREADS`` in the project's folder. The program writes into the job's folder, lists what
other jobs may use in RELION_OUTPUT_NODES.star, and says how it ended by an empty file. A
user who aborts the job in RELION makes it put RELION_JOB_ABORT_NOW there.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cryoparts.io.atomic import write_atomically
from cryoparts.particle_files.star import write_loop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

Ending = Literal["SUCCESS", "FAILURE", "ABORTED"]
ENDINGS: tuple[Ending, ...] = ("SUCCESS", "FAILURE", "ABORTED")

ABORT_FILE = "RELION_JOB_ABORT_NOW"
NODES_FILE = "RELION_OUTPUT_NODES.star"
JOB_FILE = "job.star"

LOOK_EVERY_SECONDS = 2.0
"""For the file that aborts the job."""

Kind = Literal["particles", "map", "mask"]

NODE_TYPES: dict[Kind, tuple[int, str]] = {
    "particles": (3, "ParticleGroupMetadata.star.relion"),
    "map": (6, "DensityMap.mrc"),
    "mask": (7, "Mask3D.mrc"),
}
"""Type of an output: the number of RELION 3.1 and the label of RELION 4 and 5."""

MOST_PARAMETERS = 10
"""Fields for free parameters on RELION's screen."""


@dataclass(frozen=True)
class RelionJob:
    """A job's folder.

    Parameters
    ----------
    folder : Path
        As RELION gives it: relative to the project, where the program runs.
    """

    folder: Path

    @property
    def is_to_abort(self) -> bool:
        """Whether the user has asked RELION to abort the job."""
        return (self.folder / ABORT_FILE).exists()

    def begin(self) -> None:
        """Make the folder and remove how an earlier attempt ended."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for ending in ENDINGS:
            (self.folder / f"RELION_JOB_EXIT_{ending}").unlink(missing_ok=True)

    def end(self, ending: Ending) -> None:
        """Say how the job ended; a request to abort it is done with."""
        (self.folder / ABORT_FILE).unlink(missing_ok=True)
        (self.folder / f"RELION_JOB_EXIT_{ending}").touch()

    @contextmanager
    def watched(self, every: float = LOOK_EVERY_SECONDS) -> Iterator[None]:
        """While the block runs, send SIGTERM to this process when the job is to be aborted."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(every):
                if self.is_to_abort:
                    os.kill(os.getpid(), signal.SIGTERM)
                    return

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()

    def write_nodes(self, nodes: Sequence[tuple[Path, Kind]]) -> Path:
        """Write RELION_OUTPUT_NODES.star: what other jobs may use, and the kind of it."""
        columns = ["rlnPipeLineNodeName", "rlnPipeLineNodeType", "rlnPipeLineNodeTypeLabel"]
        rows = [(path.as_posix(), *map(str, NODE_TYPES[kind])) for path, kind in nodes]
        target = self.folder / NODES_FILE
        with (
            write_atomically(target) as temporary,
            temporary.open("w", encoding="utf-8") as stream,
        ):
            write_loop(stream, "output_nodes", columns, rows)
        return target

    def write_job(self, executable: str, inputs: Mapping[str, str], threads: int) -> Path:
        """Write job.star, which RELION shows on its screens; one that RELION wrote stays.

        Parameters
        ----------
        executable : str
        inputs : mapping
            Fields of the screen *Input* (``in_part``, ``in_3dref``) and free parameters.
        threads : int
        """
        target = self.folder / JOB_FILE
        if target.exists():
            return target
        fields = {"fn_exe": executable, "in_part": "", "in_3dref": "", "in_mask": ""}
        free = {name: value for name, value in inputs.items() if name not in fields}
        fields |= {name: value for name, value in inputs.items() if name in fields}
        labels = list(free.items())[:MOST_PARAMETERS]
        for number, (name, value) in enumerate(labels, start=1):
            fields |= {f"param{number}_label": name, f"param{number}_value": value}
        fields |= {"nr_threads": str(threads), "do_queue": "No", "other_args": ""}
        with (
            write_atomically(target) as temporary,
            temporary.open("w", encoding="utf-8") as stream,
        ):
            stream.write(
                "\n# version 30001\n\ndata_job\n\n_rlnJobTypeLabel             relion.external\n"
                "_rlnJobIsContinue                       0\n"
                "_rlnJobIsTomo                           0\n"
            )
            columns = ["rlnJobOptionVariable", "rlnJobOptionValue"]
            write_loop(stream, "joboptions_values", columns, list(fields.items()))
        return target
