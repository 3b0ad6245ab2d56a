"""Checkpoints: weights and optimiser state in safetensors, the rest in JSON."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically, write_text
from cryoparts.io.files import reading

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

LOG = logging.getLogger(__name__)

KEPT = 2
"""Epoch checkpoints kept: if the newest is damaged, the one before it serves."""

BEST = "best"


@dataclass(frozen=True)
class Checkpoint:
    """A moment of a training.

    Parameters
    ----------
    epoch : int
        Epochs done.
    weights : dict
        State of encoder and decoder.
    optimiser : dict
        Adam's moments and step by parameter number; empty in the best checkpoint.
    rows : list
        Metrics of the epochs so far.
    """

    epoch: int
    weights: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    rows: list[dict[str, float]]


def save_checkpoint(folder: Path, name: str, checkpoint: Checkpoint) -> None:
    """Write NAME.safetensors and then NAME.json, whose presence completes the pair."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"weights.{k}": v for k, v in checkpoint.weights.items()}
    tensors |= {f"adam.{k}": v for k, v in checkpoint.optimiser.items()}
    with write_atomically(folder / f"{name}.safetensors") as temporary:
        # written here, not by the library: a full disk is an OSError as everywhere
        content = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()})
        temporary.write_bytes(content)
    note = {"epoch": checkpoint.epoch, "rows": checkpoint.rows}
    write_text(folder / f"{name}.json", json.dumps(note))


def save_epoch(folder: Path, checkpoint: Checkpoint) -> None:
    """Write the checkpoint of an epoch and remove all but the newest few."""
    save_checkpoint(folder, f"epoch_{checkpoint.epoch:04d}", checkpoint)
    for stale in sorted(folder.glob("epoch_*.json"))[:-KEPT]:
        stale.unlink()
        stale.with_suffix(".safetensors").unlink(missing_ok=True)


def load_checkpoint(folder: Path, name: str) -> Checkpoint:
    """Read what `save_checkpoint` wrote.

    Raises
    ------
    InputError
        If it is missing or damaged.
    """
    path, note = folder / f"{name}.safetensors", folder / f"{name}.json"
    what, cure = "a readable checkpoint", "Run `cryoparts train`, or start a new run."
    with reading(note, what, cure):
        content = json.loads(note.read_text(encoding="utf-8"))
        epoch, rows = int(content["epoch"]), list(content["rows"])
    with reading(path, what, cure):
        try:
            tensors = load_file(path)
        except SafetensorError as fault:
            raise ValueError(fault) from fault
    return Checkpoint(
        epoch=epoch,
        weights={k.removeprefix("weights."): v for k, v in tensors.items() if k[0] == "w"},
        optimiser={k.removeprefix("adam."): v for k, v in tensors.items() if k[0] == "a"},
        rows=rows,
    )


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest epoch's checkpoint that can be read, or None where there is none.

    Raises
    ------
    InputError
        If there are checkpoints and all are damaged.
    """
    damaged: InputError | None = None
    for note in sorted(folder.glob("epoch_*.json"), reverse=True):
        if not note.with_suffix(".safetensors").exists():
            continue
        try:
            return load_checkpoint(folder, note.stem)
        except InputError as fault:
            LOG.warning("%s: %s; the epoch before is taken", fault.where, fault.problem)
            damaged = damaged or fault
    if damaged is not None:
        raise damaged
    return None


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's state as named tensors: no pickle."""
    state: dict[int, dict[str, Any]] = optimiser.state_dict()["state"]
    return {
        f"{number}.{name}": torch.as_tensor(value)
        for number, values in state.items()
        for name, value in values.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimiser_tensors` gave."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        number, name = key.split(".", 1)
        state.setdefault(int(number), {})[name] = value
    groups = optimiser.state_dict()["param_groups"]
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def module_weights(**modules: nn.Module) -> dict[str, Tensor]:
    """Weights of several modules under their names."""
    return {
        f"{name}.{key}": value.detach().clone()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }


def load_weights(weights: dict[str, Tensor], **modules: nn.Module) -> None:
    """Put back what `module_weights` gave.

    Raises
    ------
    InputError
        If the weights are of networks of another shape.
    """
    for name, module in modules.items():
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        try:
            module.load_state_dict(own)
        except RuntimeError as fault:
            raise InputError(
                "checkpoints",
                f"the weights are of another {name} than the options of the run ask for: "
                f"{' '.join(str(fault).split())[:200]}",
                "config.yaml or the checkpoint is damaged: put the right one back, or start a "
                "new run.",
            ) from fault
