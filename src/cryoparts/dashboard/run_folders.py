"""The runs that one dashboard shows."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from cryoparts.dashboard.images import ParticleImages
from cryoparts.dashboard.jobs import Jobs
from cryoparts.dashboard.run_view import RunView
from cryoparts.errors import InputError
from cryoparts.io.lock import LOCK
from cryoparts.io.run_directory import RunDirectory
from cryoparts.run.run import Run
from cryoparts.training.checkpoint import BEST
from cryoparts.training.encoder_input import values_path

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from cryoparts.report.conclusion import Conclusion
    from cryoparts.states.trajectory import Trajectory

MOST_OPEN = 3
"""Runs whose tables and networks are kept: some 200 MB each at 131,899 particles."""

DEPTH = 2
"""Levels of folders below the given one in which runs are looked for."""


@dataclass
class OpenRun:
    """A run, and what is kept of it while its page is open.

    Parameters
    ----------
    key : str
        Its part of the address: no name of a folder can break it.
    name : str
        The folder's name, below the one that the dashboard was given.
    directory : RunDirectory
    """

    key: str
    name: str
    directory: RunDirectory
    writing: threading.Lock = field(default_factory=threading.Lock)
    computing: threading.RLock = field(default_factory=threading.RLock)
    curves: dict[int, tuple[Trajectory, NDArray[np.float64]]] = field(default_factory=dict)
    concluded: tuple[dict[str, tuple[int, int]], Conclusion] | None = None
    _view: RunView | None = None
    _loaded: dict[str, tuple[int, int]] = field(default_factory=dict)
    _opened: Run | None = None
    _images: ParticleImages | None = None

    @property
    def view(self) -> RunView:
        """The run as it was when its page was loaded."""
        return self.load() if self._view is None else self._view

    def load(self) -> RunView:
        """The run as it is now.

        Raises
        ------
        InputError
            If it has nothing to show yet, or a file of it cannot be read.
        """
        state = state_of(self.directory)
        if self._view is not None and state == self._loaded:
            return self._view
        self.forget()
        view = RunView.of(self.directory)
        self._view, self._loaded = view, state
        return view

    def forget(self) -> None:
        """Let go of what was read; it is read again when it is asked for."""
        with self.computing:
            self._view = self._opened = self._images = None
            self.curves.clear()

    @cached_property
    def jobs(self) -> Jobs:
        """What was started from its page."""
        return Jobs(self.directory.root)

    @property
    def opened(self) -> Run:
        """Images, model and networks, opened when first asked for."""
        if self._opened is None:
            self._opened = Run(self.directory)
        return self._opened

    @property
    def images(self) -> ParticleImages:
        """The images as a person looks at them."""
        if self._images is None:
            self._images = ParticleImages.of(self.opened)
        return self._images

    @property
    def trained(self) -> bool:
        """Whether there are networks to ask."""
        best = self.directory.checkpoints_path / f"{BEST}.safetensors"
        return best.is_file() and values_path(self.directory.particles_path).is_file()

    def reload_selections(self) -> RunView:
        """The same with the selections that are saved now."""
        self._view, self._loaded = self.view.refreshed(), state_of(self.directory)
        return self._view


def state_of(run: RunDirectory) -> dict[str, tuple[int, int]]:
    """Time and size of every file that a page is made from; maps are listed each time."""
    folders = (
        run.particles_path,
        run.parts_path,
        run.motion_path,
        run.composition_path,
        run.trust_path,
    )
    paths = [
        *run.root.glob("*"),
        *(path for folder in folders for path in folder.glob("*")),
        *run.root.glob("focus/*/particles.csv"),
        *run.selections_path.glob("*"),
        *run.checkpoints_path.glob(f"{BEST}.*"),
    ]
    found = {}
    for path in paths:
        if path.is_file() and path != run.log_path and path.name != LOCK:
            stat = path.stat()
            found[str(path)] = (stat.st_mtime_ns, stat.st_size)
    return found


@dataclass
class RunFolders:
    """A run, or a folder that holds runs.

    Parameters
    ----------
    root : Path
    """

    root: Path
    _opened: dict[str, OpenRun] = field(default_factory=dict)
    _visited: list[OpenRun] = field(default_factory=list)

    @classmethod
    def of(cls, root: Path) -> RunFolders:
        """The runs in a folder.

        Raises
        ------
        InputError
            If it is no run and holds none, or it is one that has nothing to show yet.
        """
        found = cls(root)
        if found.alone is not None:
            found.alone.load()
        elif not found.all():
            problem = "not a run folder, and holds none" if root.is_dir() else "does not exist"
            raise InputError(str(root), problem, "Make a run with `cryoparts run`.")
        return found

    @cached_property
    def alone(self) -> OpenRun | None:
        """The run, where the folder is one itself."""
        if not (self.root / "config.yaml").is_file():
            return None
        return self._open(self.root)

    def all(self) -> list[OpenRun]:
        """The runs that are there now, by name."""
        if self.alone is not None:
            return [self.alone]
        patterns = ["/".join(["*"] * depth + ["config.yaml"]) for depth in range(1, DEPTH + 1)]
        folders = {path.parent for pattern in patterns for path in self.root.glob(pattern)}
        return [self._open(folder) for folder in sorted(folders)]

    def get(self, key: str) -> OpenRun | None:
        """The run of an address."""
        return self._opened.get(key) or next((run for run in self.all() if run.key == key), None)

    def _open(self, folder: Path) -> OpenRun:
        name = folder.relative_to(self.root).as_posix()
        key = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:12]
        if key not in self._opened:
            shown = "/".join(self.root.resolve().parts[-2:]) if name == "." else name
            self._opened[key] = OpenRun(key, shown, RunDirectory(folder))
        return self._opened[key]

    def close(self) -> list[str]:
        """End the jobs that run; returns what they were."""
        running = [run.jobs.latest for run in self._opened.values() if run.jobs.latest is not None]
        running = [job for job in running if job.running]
        for job in running:
            job.stop()
        return [job.title for job in running]

    def visit(self, run: OpenRun) -> None:
        """Note that a run's page is opened; of those opened long ago, what was read is let go."""
        self._visited = [*(other for other in self._visited if other is not run), run]
        for other in self._visited[:-MOST_OPEN]:
            other.forget()
