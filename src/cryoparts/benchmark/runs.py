"""The runs of a benchmark: each in a process and a folder of its own, made once."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import sys
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.benchmark.metrics import cost_values
from cryoparts.benchmark.record import MapKnowledge, measure_run
from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically
from cryoparts.io.run_directory import RunDirectory, write_json
from cryoparts.parallel.current import asked_processes, shared_work

if TYPE_CHECKING:
    from cryoparts.benchmark.data import DataSet
    from cryoparts.config import RunConfig

LOG = logging.getLogger(__name__)

RECORD_FILE = "benchmark.json"
ARRAYS_FILE = "benchmark.npz"


@dataclass(frozen=True)
class BenchmarkRun:
    """One run that is asked for."""

    data: DataSet
    decoder: str
    training_seed: int

    @property
    def name(self) -> str:
        """Of its folder."""
        training = "" if self.training_seed == self.data.seed else f"_training{self.training_seed}"
        return f"{self.data.name}_{self.decoder}{training}"

    @property
    def title(self) -> str:
        """In words."""
        return f"{self.decoder}, {self.data.kind.title}, seed {self.training_seed}"


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of a run that is complete, None otherwise."""
    path = folder / RECORD_FILE
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def make_record(
    run: BenchmarkRun,
    config: RunConfig,
    data: Path,
    folder: Path,
    oracle: dict[str, Any] | None,
    maps: MapKnowledge | None,
    *,
    quick: bool,
) -> dict[str, Any]:
    """Make a run, compare it with the truth, and leave the record that says it is complete."""
    seconds = _make_run(config, folder, quick=quick)
    directory = RunDirectory.open(folder)
    measured = measure_run(directory, data, oracle, maps)
    rows = directory.metrics()
    total = seconds.get("total")
    record = {
        "name": run.name,
        "data": run.data.as_dict(),
        "decoder": run.decoder,
        "training_seed": run.training_seed,
        "values": measured.values | cost_values(rows, total),
        "references": measured.references,
        "details": measured.details,
        "epochs": rows,
        "seconds": seconds,
        "options": config.as_dict() | {"particles": None, "model": None},
        "program": program_fingerprint(),
    }
    with write_atomically(folder / ARRAYS_FILE) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **measured.arrays)
    write_json(folder / RECORD_FILE, record)
    return record


def program_fingerprint() -> str:
    """Digits that change with any line of the program: results of one table should share them."""
    digest = hashlib.sha256()
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _make_run(config: RunConfig, folder: Path, *, quick: bool) -> dict[str, float]:
    """Make the run in a fresh process, so that memory and time are its own.

    The total counts everything from the start of that process, as a user waits for it.

    Raises
    ------
    InputError
        That of the run, or that its process ended without a result.
    """
    begun = folder.exists()
    if begun:
        LOG.info("going on with %s, which was interrupted", folder.name)
    started = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=1, mp_context=context) as pool:
        try:
            outcome = pool.submit(
                run_in_this_process, config, folder, asked_processes(), quick=quick
            ).result()
        except BrokenProcessPool as fault:
            raise InputError(
                str(folder),
                "the process of the run ended without a result (killed, or out of memory)",
                "The same command goes on with it.",
            ) from fault
        except BaseException:  # told to stop: the pool would wait for the run's end
            for process in multiprocessing.active_children():
                process.terminate()
            raise
    if isinstance(outcome, tuple):
        raise InputError(*outcome)
    # What an interrupted run took before is not known.
    return outcome if begun else outcome | {"total": time.perf_counter() - started}


def run_in_this_process(
    config: RunConfig,
    folder: Path,
    processes: int | None = None,
    *,
    quick: bool,
) -> dict[str, float] | tuple[str, str, str]:
    """All steps of a run, as `cryoparts run` makes them, and the seconds that each took.

    Its work is shared among so many processes, or as many as are worth it.

    An `InputError` comes back as its three texts, which survive the way between processes.
    """
    # Imported here: the parent process needs none of it.
    from cryoparts.pipeline.start import start_run
    from cryoparts.pipeline.steps import run_steps

    warnings.filterwarnings("ignore", category=FutureWarning)
    _tell_the_terminal()
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def took(step: str) -> None:
        seconds[step] = time.perf_counter() - started - sum(seconds.values())

    try:
        resume = folder.exists()
        with shared_work(processes):
            run = start_run(config, folder, resume=resume, tell=LOG.info)
            took("start")
            with run.directory.logging():
                for step in run_steps(run, config, resume=resume, maps=not quick):
                    LOG.info("%s: %s", folder.name, step.name)
                    if step.name in ("train", "report"):
                        took(step.name)
                    elif step.name == ("coordination" if quick else "reconstruct"):
                        took("parts and states" if quick else "parts to maps")
    except InputError as error:
        return error.where, error.problem, error.cure
    except Exception as fault:
        LOG.exception("%s failed", folder)
        return str(folder), f"{type(fault).__name__}: {fault}", "It is shown in full above."
    return seconds


def _tell_the_terminal() -> None:
    """A process of its own has no terminal's handlers: its messages go to standard output."""
    logger = logging.getLogger("cryoparts")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler(sys.stdout))
