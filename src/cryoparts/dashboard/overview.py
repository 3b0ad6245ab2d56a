"""The runs of a folder, with what each came to."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.dashboard.run_folders import state_of
from cryoparts.errors import InputError
from cryoparts.io.lock import is_locked
from cryoparts.report.conclusion import conclude

if TYPE_CHECKING:
    from cryoparts.dashboard.run_folders import OpenRun, RunFolders
    from cryoparts.report.conclusion import Conclusion


def listed_runs(folders: RunFolders) -> dict[str, Any]:
    """The runs that are there now, by name; what each came to takes longer (`verdict`)."""
    return {
        "folder": str(folders.root.resolve()),
        "runs": [{"key": run.key, "name": run.name} for run in folders.all()],
    }


def verdict(run: OpenRun) -> dict[str, Any]:
    """What a run came to, as the end of `cryoparts run` says it, or what is wrong with it."""
    root = run.directory.root
    told: dict[str, Any] = {
        "particles": _particles(run),
        "changed": _changed(run),
        "working": is_locked(root),
    }
    try:
        conclusion = _concluded(run)
    except InputError as error:
        return told | {"problem": f"{error}"}
    return told | {"found": conclusion.found, "sure": conclusion.sure, "next": conclusion.next}


def _concluded(run: OpenRun) -> Conclusion:
    """Read once for as long as the run stays as it is: at 131,899 particles it takes a second."""
    state = state_of(run.directory)
    if run.concluded is None or run.concluded[0] != state:
        run.concluded = state, conclude(run.directory.root)
    return run.concluded[1]


def _particles(run: OpenRun) -> int | None:
    path = run.directory.latent_path
    try:
        return int(np.load(path, mmap_mode="r").shape[0])
    except (OSError, ValueError, IndexError):
        return None


def _changed(run: OpenRun) -> str:
    """When the run folder was written to last, to the minute."""
    paths = (run.directory.config_path, run.directory.log_path)
    latest = max((path.stat().st_mtime for path in paths if path.is_file()), default=0.0)
    return datetime.fromtimestamp(latest).astimezone().strftime("%Y-%m-%d %H:%M")
