"""What a run folder holds, as far as the run has gone; nothing here is computed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

from cryoparts.errors import InputError
from cryoparts.figures.part_states import PartStates, read_part_states
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.files import reading, require_file
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.tables import load_array, read_json, read_table
from cryoparts.parts.part_labels import PartLabels
from cryoparts.training.epoch_choice import chosen_epoch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Training:
    """The rows of metrics.jsonl; every field has shape (E,), NaN where a row lacks it.

    Epoch 0 is the neutral model, before anything was learned.
    """

    epoch: FloatArray
    loss: FloatArray
    held_out_frc: FloatArray
    held_out_frc_mean: FloatArray
    train_frc: FloatArray
    particles_per_second: FloatArray
    seconds: FloatArray
    peak_memory_mib: FloatArray
    learning_rate: FloatArray

    @property
    def neutral_frc(self) -> float | None:
        """Held-out FRC of the neutral model; None where it was not measured."""
        values = self.held_out_frc[self.epoch == 0]
        return float(values[0]) if len(values) and np.isfinite(values[0]) else None

    @property
    def unchanging_frc(self) -> float | None:
        """Held-out FRC of the best model that does not change: mean latent vector, or neutral."""
        row = self.best_row
        if row is not None and np.isfinite(self.held_out_frc_mean[row]):
            return float(self.held_out_frc_mean[row])
        return self.neutral_frc

    @property
    def unchanging_name(self) -> str:
        """What `unchanging_frc` is of."""
        row = self.best_row
        measured = row is not None and np.isfinite(self.held_out_frc_mean[row])
        return "mean model" if measured else "neutral model"

    @property
    def best_row(self) -> int | None:
        """Row of the learned epoch that was kept; None where none has a held-out FRC."""
        rows = np.flatnonzero(np.isfinite(self.held_out_frc) & (self.epoch > 0))
        if not len(rows):
            return None
        scores = self.held_out_frc[rows]
        neutral = self.neutral_frc
        return int(rows[chosen_epoch(scores, scores.min() if neutral is None else neutral)])

    @property
    def learned_epochs(self) -> int:
        """Number of epochs after the neutral model."""
        return int(np.sum(self.epoch > 0))


@dataclass(frozen=True)
class Latent:
    """The particles' latent vectors: names (P,) and z (P, Z)."""

    names: NDArray[np.str_]
    z: FloatArray


@dataclass(frozen=True)
class RunResults:
    """Everything the report shows; None or empty where a step has not run."""

    folder: Path
    config: dict[str, Any]
    command: str | None
    training: Training | None
    model: GaussianModel | None
    latent: Latent | None
    parts: PartLabels | None
    states: dict[int, PartStates]
    evaluation: dict[str, Any] | None

    @property
    def options(self) -> dict[str, Any]:
        """The options of the run."""
        return dict(self.config.get("options", self.config))


def read_run(folder: Path) -> RunResults:
    """Read a run folder.

    Raises
    ------
    InputError
        If it is not a run folder, or a file in it cannot be read.
    """
    run = RunDirectory.open(folder)
    config = _read_yaml(run.config_path)
    command = folder / "command.txt"
    model = GaussianModel.load(run.gaussians_path) if run.gaussians_path.is_file() else None
    has_parts = (run.parts_path / "labels.npy").is_file()
    parts = PartLabels.load(run.parts_path) if has_parts else None
    if parts is not None and model is not None and len(parts) != len(model):
        raise InputError(
            str(run.parts_path / "labels.npy"),
            f"has {len(parts)} labels, gaussians.npz has {len(model)} Gaussians",
            "Run `cryoparts parts` again.",
        )
    latent = _read_latent(run)
    names = None if latent is None else latent.names
    labels = [] if parts is None else list(range(1, parts.n_parts + 1))
    return RunResults(
        folder=folder,
        config=config,
        command=command.read_text(encoding="utf-8").strip() if command.is_file() else None,
        training=_read_training(run.metrics_path),
        model=model,
        latent=latent,
        parts=parts,
        states=read_part_states(run, labels, names),
        evaluation=read_json(run.evaluation_path),
    )


def _read_yaml(path: Path) -> dict[str, Any]:
    with reading(path, "YAML", "Restore it or run again."):
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, RecursionError) as fault:
            raise ValueError(fault) from fault
    return content if isinstance(content, dict) else {}


def _read_training(path: Path) -> Training | None:
    if not path.exists():
        return None
    require_file(path, "Train again.")
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            rows.append(dict(json.loads(line)))
        except (TypeError, ValueError) as fault:
            raise InputError(
                f"{path}, line {number}", f"is not a JSON object: {fault}", "Remove that line."
            ) from fault
    if not rows:
        return None
    table = pd.DataFrame(rows).reindex(columns=list(Training.__dataclass_fields__))
    numbers = table.apply(pd.to_numeric, errors="coerce")
    return Training(**{name: numbers[name].to_numpy(dtype=np.float64) for name in numbers})


def _read_latent(run: RunDirectory) -> Latent | None:
    if not run.latent_path.is_file():
        return None
    z = np.asarray(load_array(run.latent_path, dimensions=2), dtype=np.float64)
    if not run.latent_csv_path.is_file():
        return Latent(np.array([""] * len(z), dtype=np.str_), z)
    names = read_table(run.latent_csv_path, ["name"])["name"].to_numpy(dtype=np.str_)
    if len(names) != len(z):
        raise InputError(
            str(run.latent_csv_path),
            f"has {len(names)} particles, latent.npy has {len(z)}",
            "Run `cryoparts train` again.",
        )
    return Latent(names, z)
