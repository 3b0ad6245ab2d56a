"""The folder of a run: where each file is, and how it is written and read back."""

from __future__ import annotations

import csv
import json
import logging
import platform
import shlex
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import yaml

from cryoparts.config import RunConfig, run_config_from_dict
from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically, write_text
from cryoparts.io.files import checksum, reading
from cryoparts.io.lock import LOCK, locked
from cryoparts.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

FORMAT = 2
"""Number of the layout of a run folder. Folders of format 1 (version 0.1, which wrote no number)
lack what later steps keep; it is computed when it is asked for."""

LIBRARIES = ("cryoparts", "torch", "numpy", "scipy", "numba", "umap-learn", "scikit-learn")


@dataclass(frozen=True)
class RunDirectory:
    """Paths inside a run folder; nothing else in the program spells them.

    Parameters
    ----------
    root : Path
        The run folder.
    """

    root: Path

    @property
    def config_path(self) -> Path:
        """Options, versions, seed and input checksums."""
        return self.root / "config.yaml"

    @property
    def gaussians_path(self) -> Path:
        """The neutral Gaussian model."""
        return self.root / "gaussians.npz"

    @property
    def gaussians_cif_path(self) -> Path:
        """The neutral Gaussian model as atoms, for ChimeraX."""
        return self.root / "gaussians.cif"

    @property
    def particles_path(self) -> Path:
        """Cache of the working images."""
        return self.root / "particles"

    @property
    def metrics_path(self) -> Path:
        """One row an epoch."""
        return self.root / "metrics.jsonl"

    @property
    def checkpoints_path(self) -> Path:
        """One checkpoint an epoch."""
        return self.root / "checkpoints"

    @property
    def latent_path(self) -> Path:
        """Latent vectors (P, Z)."""
        return self.root / "latent.npy"

    @property
    def latent_csv_path(self) -> Path:
        """Latent vectors with the names of the particles."""
        return self.root / "latent.csv"

    @property
    def probability_path(self) -> Path:
        """Probability (P,) that each particle is what the model describes, in its pose."""
        return self.root / "probability.npy"

    @property
    def probability_csv_path(self) -> Path:
        """The same with the names of the particles, and what it was judged by."""
        return self.root / "probability.csv"

    @property
    def missed_path(self) -> Path:
        """Regions that the decoder missed and that are latent dimensions of their own."""
        return self.root / "missed.npz"

    @property
    def limits_path(self) -> Path:
        """Junk, errors of the poses, signal and the smallest part that could be seen."""
        return self.root / "limits.json"

    @property
    def parts_path(self) -> Path:
        """Labels of the Gaussians."""
        return self.root / "parts"

    @property
    def selections_path(self) -> Path:
        """Chosen particles, a .csv and a .json each."""
        return self.root / "selections"

    @property
    def motion_path(self) -> Path:
        """Rigid motion of each part in each particle."""
        return self.root / "motion"

    @property
    def masks_path(self) -> Path:
        """Soft mask of each part."""
        return self.parts_path / "masks"

    @property
    def trust_path(self) -> Path:
        """Whether the result deserves belief."""
        return self.root / "trust"

    @property
    def presence_path(self) -> Path:
        """Probability that each part is present in each particle."""
        return self.root / "composition" / "presence.csv"

    @property
    def composition_path(self) -> Path:
        """Presence and occupancy of the parts."""
        return self.root / "composition"

    @property
    def coordination_path(self) -> Path:
        """Which parts change together, and the order of assembly."""
        return self.root / "coordination"

    @property
    def evaluation_path(self) -> Path:
        """Comparison with the ground truth."""
        return self.root / "evaluation.json"

    @property
    def noise_path(self) -> Path:
        """Noise power of each ring, kept with what it depends on."""
        return self.root / "noise.npz"

    @property
    def calibration_path(self) -> Path:
        """Scales of the decoder's output, kept with what they depend on."""
        return self.root / "calibration.npz"

    @property
    def encoded_path(self) -> Path:
        """Latent vectors of the encoder alone, kept with what they depend on."""
        return self.root / "encoded.npz"

    @property
    def log_path(self) -> Path:
        """Log of all commands on this run."""
        return self.root / "run.log"

    def focus_path(self, part: int) -> Path:
        """Folder of the particles seen by one part alone."""
        return self.root / "focus" / f"part_{part}"

    def focus_on_several_path(self, parts: Sequence[int]) -> Path:
        """Folder of the particles seen by several parts together, ``focus/part_1+part_3``."""
        return self.root / "focus" / "+".join(f"part_{part}" for part in parts)

    def reconstruction_path(self, part: int) -> Path:
        """Folder of the maps of one part's states."""
        return self.root / "reconstruction" / f"part_{part}"

    def trajectory_maps_path(self, part: int) -> Path:
        """Folder of the maps along one part's coordinate."""
        return self.reconstruction_path(part) / "trajectory"

    @property
    def at_rest_path(self) -> Path:
        """Folder of the maps in which every part is at rest."""
        return self.root / "reconstruction" / "at_rest"

    def selection_maps_path(self, name: str) -> Path:
        """Folder of the maps of a selection of particles."""
        return self.root / "reconstruction" / f"selection_{name}"

    @classmethod
    def create(cls, root: Path, config: RunConfig, inputs: Iterable[Path]) -> RunDirectory:
        """Make the folder, with config.yaml and command.txt.

        Parameters
        ----------
        root : Path
            The folder; it must not exist, or be empty.
        config : RunConfig
            Every option.
        inputs : iterable of Path
            Input files whose checksums are recorded.

        Raises
        ------
        InputError
            If the folder exists with something in it, or cannot be made.
        """
        require_new_folder(root)
        checksums = {str(path): checksum(path) for path in inputs}
        try:
            root.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            raise InputError(
                f"-o {root}", f"the folder cannot be made: {fault}", "Choose another place."
            ) from fault
        run = cls(root)
        record = {
            "format": FORMAT,
            "versions": library_versions()
            | {"python": platform.python_version(), "system": platform.platform()},
            "input_checksums_sha256": checksums,
            "options": config.as_dict(),
        }
        write_text(run.config_path, yaml.safe_dump(record, sort_keys=False, allow_unicode=True))
        write_text(root / "command.txt", shlex.join(sys.argv) + "\n")
        return run

    @classmethod
    def open(cls, root: Path) -> RunDirectory:
        """A run folder that exists.

        Raises
        ------
        InputError
            If it is not a run folder.
        """
        run = cls(root)
        if not run.config_path.is_file():
            problem = "has no config.yaml" if root.is_dir() else "does not exist"
            raise InputError(
                str(root), f"not a run folder: it {problem}", "Make one with `cryoparts run`."
            )
        run.require_known_format()
        return run

    def _record(self) -> dict[str, Any]:
        """The content of config.yaml."""
        with reading(self.config_path, "the options of a run", "Start a new run."):
            try:
                record = yaml.safe_load(self.config_path.read_text(encoding="utf-8"))
            except (yaml.YAMLError, RecursionError) as fault:
                raise ValueError(str(fault)) from fault
            return dict(record)

    def require_known_format(self) -> int:
        """Number of the folder's format.

        Raises
        ------
        InputError
            If a later version of the program has made it.
        """
        record = self._record()
        number = record.get("format", 1)
        if isinstance(number, int) and 1 <= number <= FORMAT:
            return number
        made_by = (record.get("versions") or {}).get("cryoparts", "a later version")
        raise InputError(
            str(self.config_path),
            f"the run folder has format {number!r}; cryoparts {__version__} knows 1 to {FORMAT}",
            f"Open it with cryoparts {made_by}, which made it, or a later version.",
        )

    def config(self) -> RunConfig:
        """The options the run was made with."""
        options = self._record().get("options")
        if not isinstance(options, dict):
            raise InputError(str(self.config_path), "holds no options", "Start a new run.")
        with reading(self.config_path, "the options of a run", "Start a new run."):
            return run_config_from_dict(options, str(self.config_path))

    def record_options(self, config: RunConfig) -> None:
        """Replace the options in config.yaml, where those of a later step are others now."""
        record = yaml.safe_load(self.config_path.read_text(encoding="utf-8"))
        if record["options"] != config.as_dict():
            record["options"] = config.as_dict()
            text = yaml.safe_dump(record, sort_keys=False, allow_unicode=True)
            write_text(self.config_path, text)

    def require(self, path: Path, command: str) -> Path:
        """`path` if it is there; else an InputError that names the command that makes it."""
        if not path.exists():
            raise InputError(
                str(path), "is missing, an earlier step has not run", f"Run `{command}` first."
            )
        return path

    def require_latents(self) -> None:
        """Raise InputError where the training has not come to its end: latent.npy is its last."""
        if not self.latent_path.is_file():
            raise InputError(
                str(self.latent_path),
                "is missing: the training of this run has not come to its end",
                f"Give the command that made the run again with --resume: it is in "
                f"{self.root / 'command.txt'}.",
            )

    def metrics(self) -> list[dict[str, float]]:
        """Rows of metrics.jsonl, one an epoch, epoch 0 being the neutral model."""
        if not self.metrics_path.exists():
            return []
        cure = "Remove the damaged line, or train again."
        with (
            reading(self.metrics_path, "a table of epochs", cure),
            self.metrics_path.open(encoding="utf-8") as lines,
        ):
            return [dict(json.loads(line)) for line in lines if line.strip()]

    def write_metrics(self, rows: Sequence[dict[str, float]]) -> None:
        """Replace metrics.jsonl by `rows`."""
        write_text(self.metrics_path, "".join(json.dumps(row) + "\n" for row in rows))

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Write in the folder: messages of cryoparts go to run.log, other processes wait.

        Raises
        ------
        InputError
            If another process works in the folder, or it cannot be written.
        """
        with locked(self.root):
            yield from self._logging()

    def _logging(self) -> Iterator[None]:
        logger = logging.getLogger("cryoparts")
        handler = logging.FileHandler(self.log_path, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            logger.info("command: %s", shlex.join(sys.argv))
            yield
        finally:
            logger.removeHandler(handler)
            handler.close()


def library_versions() -> dict[str, str]:
    """Versions of the program and of the libraries that its numbers come from."""
    return {name: __version__ if name == "cryoparts" else version(name) for name in LIBRARIES}


def require_new_folder(root: Path) -> None:
    """Raise InputError unless `root` is absent or an empty folder, but for our own lock on it."""
    if root.is_file() or (root.is_dir() and any(path.name != LOCK for path in root.iterdir())):
        raise InputError(
            f"-o {root}",
            "the run folder exists and is not empty",
            "Choose another folder, remove it, or add --resume to go on with that run.",
        )


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write `content` as indented JSON, atomically."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table with a header line, atomically."""
    with (
        write_atomically(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
