"""Training: the encoder and the decoder learn together what varies among the particles."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from cryoparts.errors import InputError
from cryoparts.networks.build import build_networks
from cryoparts.networks.levels import LevelledDecoder
from cryoparts.training.checkpoint import (
    BEST,
    Checkpoint,
    load_checkpoint,
    load_weights,
    module_weights,
    newest_epoch,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
    save_epoch,
)
from cryoparts.training.deformation import Gaussians, channel_count, deform
from cryoparts.training.losses import latent_penalty, mean_frc
from cryoparts.training.memory import peak_memory_mib
from cryoparts.training.schedule import learning_rate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import TrainingConfig
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.networks.build import Networks
    from cryoparts.training.forward_model import ParticleBatch
    from cryoparts.training.setup import TrainingSetup

LOG = logging.getLogger(__name__)

LATENT_NOISE = 0.01
"""Deviation of the noise added to latent vectors in training (Chen & Ludtke 2021)."""

PEAK_RATES = {"point-transformer": 2e-3, "mlp": 5e-4}
PAPER_PEAK_RATE = 1e-4

OWN_RATE_FACTOR = 5.0
"""On the rate of what belongs to single Gaussians: on a ribosome of 3,200 particles the
held-out FRC of an epoch was reached in two thirds of the epochs that a factor of 1 needs."""


class Progress(Protocol):
    """What shows the user how far the training is."""

    def epoch(self, row: dict[str, float], epochs: int) -> None:
        """An epoch ended; `row` is its line of the metrics."""

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """A step ended: particles done of the epoch's total, `rate` particles/s."""


@dataclass(frozen=True)
class _Step:
    """Everything one training step reads."""

    inputs: Tensor
    batch: ParticleBatch


class Trainer:
    """Trains the networks of one run.

    Parameters
    ----------
    run : RunDirectory
        Where checkpoints and metrics go.
    setup : TrainingSetup
        Particles, neutral model, objective and encoder input.
    config : TrainingConfig
        Options.
    """

    def __init__(self, run: RunDirectory, setup: TrainingSetup, config: TrainingConfig) -> None:
        self.run, self.setup, self.config = run, setup, config
        particles = setup.forward.particles
        self.networks = build_networks(
            config,
            setup.model,
            setup.encoder_input.width,
            channel_count(config.vary),
            particles.box_size * particles.pixel_size_angstrom,
            setup.forward.device,
        )
        self.optimiser = _optimiser(self.networks)
        self.rows: list[dict[str, float]] = []

    def train(self, progress: Progress, *, resume: bool = False) -> list[dict[str, float]]:
        """Train to the last epoch; every epoch leaves a checkpoint.

        Parameters
        ----------
        progress : Progress
            Told of every step and epoch.
        resume : bool
            Go on after the newest checkpoint. A resumed run gives the weights
            that an unbroken one gives.

        Returns
        -------
        list of dict
            One row an epoch; epoch 0 is the neutral model.

        Raises
        ------
        InputError
            If the loss stops being a number.
        """
        name = newest_epoch(self.run.checkpoints_path) if resume else None
        if name is not None:
            self._restore(load_checkpoint(self.run.checkpoints_path, name))
        else:
            self._start_from_principal_components()
            self.rows = [self._neutral_row()]
            progress.epoch(self.rows[0], self.config.epochs)
        for epoch in range(len(self.rows), self.config.epochs + 1):
            row = self._epoch(epoch, progress)
            self.rows.append(row)
            self._save(epoch)
            progress.epoch(row, self.config.epochs)
        return self.rows

    def _start_from_principal_components(self) -> None:
        deviation = self.setup.encoder_input.deviation
        if deviation is not None:
            self.networks.encoder.start_from(deviation)

    def _epoch(self, epoch: int, progress: Progress) -> dict[str, float]:
        # Order, latent noise and dropout depend on seed and epoch alone: resuming repeats nothing.
        order = np.random.default_rng([self.config.seed, epoch]).permutation(
            self.setup.split.training
        )
        self.networks.encoder.train()
        self.networks.decoder.train()
        started, done, losses = time.perf_counter(), 0, []
        steps_an_epoch = -(-len(order) // self.config.batch_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1_000_003 * self.config.seed + epoch)
            for number, step in enumerate(self._steps(order)):
                rate = self._set_rate((epoch - 1) * steps_an_epoch + number, steps_an_epoch)
                loss = self._step(step)
                losses.append(loss * len(step.inputs))
                done += len(step.inputs)
                if not np.isfinite(loss):
                    raise InputError(
                        f"--learning-rate {rate:g}",
                        f"the loss became {loss} in epoch {epoch}",
                        "Use a lower rate; --resume goes on after the last whole epoch.",
                    )
                speed = done / (time.perf_counter() - started)
                progress.step(epoch, done, len(order), sum(losses) / done, speed)
        seconds = time.perf_counter() - started
        return {
            "epoch": epoch,
            "loss": sum(losses) / done,
            "train_frc": self._frc(self._training_sample()),
            "held_out_frc": self._frc(self.setup.split.held_out),
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "particles_per_second": done / seconds,
            "seconds": seconds,
            "peak_memory_mib": peak_memory_mib(),
        }

    def _steps(self, order: NDArray[np.int64]) -> Iterator[_Step]:
        """Read each batch while the one before it is trained on."""
        size = self.config.batch_size
        chunks = [order[start : start + size] for start in range(0, len(order), size)]
        with ThreadPoolExecutor(max_workers=1) as reader:
            ahead = reader.submit(self._read, chunks[0])
            for following in [*chunks[1:], None]:
                step = ahead.result()
                if following is not None:
                    ahead = reader.submit(self._read, following)
                yield step

    def _read(self, indices: NDArray[np.int64]) -> _Step:
        forward = self.setup.forward
        inputs = self.setup.encoder_input.rows(indices, forward.device)
        return _Step(inputs, forward.batch(indices))

    def _step(self, step: _Step) -> float:
        latent = self.networks.encoder(step.inputs)
        noisy = latent + LATENT_NOISE * torch.randn(latent.shape).to(latent.device)
        gaussians = self._gaussians(noisy)
        images = self.setup.forward.images_of(gaussians, step.batch)
        agreement = self.setup.objective.agreement(step.batch.data, images)
        loss = latent_penalty(latent) - agreement.mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return float(loss.detach())

    def _gaussians(self, latent: Tensor) -> Gaussians:
        return deform(self.setup.neutral, self.networks.decoder(latent), self.config.vary)

    def _set_rate(self, step: int, steps_an_epoch: int) -> float:
        config = self.config
        default = PAPER_PEAK_RATE if config.published else PEAK_RATES[config.decoder]
        rate = learning_rate(step, config.epochs * steps_an_epoch, config.learning_rate or default)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["rate_factor"]
        return rate

    def _frc(self, indices: NDArray[np.int64], *, neutral: bool = False) -> float:
        """Mean FRC over the band and the particles; NaN where there is none."""
        setup, total = self.setup, 0.0
        self.networks.encoder.eval()
        self.networks.decoder.eval()
        size = self.config.batch_size
        with torch.no_grad():
            for start in range(0, len(indices), size):
                chosen = indices[start : start + size]
                step = self._read(chosen)
                gaussians = (
                    setup.neutral
                    if neutral
                    else self._gaussians(self.networks.encoder(step.inputs))
                )
                images = setup.forward.images_of(gaussians, step.batch)
                total += float(mean_frc(step.batch.data, images, setup.objective.band).sum())
        return total / len(indices) if len(indices) else float("nan")

    def _training_sample(self) -> NDArray[np.int64]:
        """As many training particles as are held out: what training has gained on its own data."""
        count = max(1, len(self.setup.split.held_out))
        return self.setup.split.training[:: max(1, len(self.setup.split.training) // count)][:count]

    def _neutral_row(self) -> dict[str, float]:
        return {
            "epoch": 0,
            "train_frc": self._frc(self._training_sample(), neutral=True),
            "held_out_frc": self._frc(self.setup.split.held_out, neutral=True),
        }

    def _save(self, epoch: int) -> None:
        modules = {"encoder": self.networks.encoder, "decoder": self.networks.decoder}
        weights = module_weights(**modules)
        folder = self.run.checkpoints_path
        if best_epoch(self.rows) == epoch:
            save_checkpoint(folder, BEST, Checkpoint(epoch, weights, {}, self.rows))
        save_epoch(folder, Checkpoint(epoch, weights, optimiser_tensors(self.optimiser), self.rows))
        self.run.write_metrics(self.rows)

    def _restore(self, checkpoint: Checkpoint) -> None:
        load_weights(
            checkpoint.weights, encoder=self.networks.encoder, decoder=self.networks.decoder
        )
        restore_optimiser(self.optimiser, checkpoint.optimiser)
        self.rows = list(checkpoint.rows)
        LOG.info("resumed after epoch %d", checkpoint.epoch)


def _optimiser(networks: Networks) -> torch.optim.Adam:
    """Adam with a higher rate for what belongs to single Gaussians."""
    decoder = networks.decoder
    own = decoder.own_terms() if isinstance(decoder, LevelledDecoder) else []
    apart = {id(parameter) for parameter in own}
    everything = [*networks.encoder.parameters(), *decoder.parameters()]
    shared = [parameter for parameter in everything if id(parameter) not in apart]
    groups = [{"params": shared, "rate_factor": 1.0}]
    if own:
        groups.append({"params": own, "rate_factor": OWN_RATE_FACTOR})
    return torch.optim.Adam(groups, lr=1e-3, fused=True)


def best_epoch(rows: list[dict[str, float]]) -> int:
    """Epoch of the highest held-out FRC; the last one where nothing is held out."""
    trained = rows[1:]
    if not trained:
        return 0
    scores = [row["held_out_frc"] for row in trained]
    if not np.isfinite(scores).all():
        return int(trained[-1]["epoch"])
    return int(trained[int(np.argmax(scores))]["epoch"])
