"""Training: the encoder and the decoder learn together what varies among the particles."""

from __future__ import annotations

import logging
import shutil
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from cryoparts.errors import InputError
from cryoparts.image_model.deformation import Gaussians, channel_count, deform, single
from cryoparts.memory.halving import Halving
from cryoparts.memory.peak import peak_memory_mib
from cryoparts.parallel.current import team
from cryoparts.training.channels import channel_shares, channels_path
from cryoparts.training.checkpoint import (
    BEST,
    Checkpoint,
    load_checkpoint,
    load_weights,
    module_weights,
    newest_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
    save_epoch,
)
from cryoparts.training.encoder_input import forget_encoder_input
from cryoparts.training.epoch import FEWEST_OF_A_BATCH, DivergedError, Epoch, HeldAgainst
from cryoparts.training.epoch_choice import chosen_epoch
from cryoparts.training.judgements import forget_judgements_after, judged_after
from cryoparts.training.junk_rounds import judge_particles
from cryoparts.training.networks import build_networks
from cryoparts.training.optimiser import make_optimiser
from cryoparts.training.pose_rounds import (
    forget_rounds_after,
    networks_in,
    poses_found_after,
    refine_poses,
)
from cryoparts.training.setup import prepare_training

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import TrainingConfig
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.training.networks import Networks
    from cryoparts.training.setup import TrainingSetup

LOG = logging.getLogger(__name__)

SAMPLE = 512
"""Training particles whose agreement is measured after each epoch: how much it rises is known
from so many well enough to tell what is learned by heart."""

SMALLEST_RATE_FACTOR = 0.1
"""The rate is halved three times; a loss that is still no number has another cause."""


def _nobody(what: str, done: int, total: int) -> None:
    """Tell nobody."""


class Progress(Protocol):
    """What shows the user how far the training is."""

    def epoch(self, row: dict[str, float], epochs: int) -> None:
        """An epoch ended; `row` is its line of the metrics."""

    def step(self, epoch: int, done: int, total: int, loss: float, rate: float) -> None:
        """A step ended: particles done of the epoch's total, `rate` particles/s."""


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
        self.run = run
        self._halving = Halving("training")
        self._set_up(setup, config)

    def _set_up(self, setup: TrainingSetup, config: TrainingConfig) -> None:
        """Networks that have learned nothing."""
        self.setup, self.config = setup, config
        particles = setup.forward.particles
        self._build = partial(
            build_networks,
            config,
            setup.model,
            setup.encoder_input.width,
            channel_count(config.vary),
            particles.box_size * particles.pixel_size_angstrom,
            setup.forward.device,
        )
        self.networks = self._build()
        self.optimiser = make_optimiser(self.networks)
        self.rows: list[dict[str, float]] = []
        self._rate_factor = 1.0

    def train(
        self,
        progress: Progress,
        *,
        resume: bool = False,
        sweep: Callable[[str, int, int], None] = _nobody,
    ) -> list[dict[str, float]]:
        """Train to the last epoch; every epoch leaves a checkpoint.

        Parameters
        ----------
        progress : Progress
            Told of every step and epoch.
        resume : bool
            Go on after the newest checkpoint. A resumed run gives the weights
            that an unbroken one gives.
        sweep : callable
            Told of sweeps over the particles between epochs: what is done, how many, of how many.

        Returns
        -------
        list of dict
            One row an epoch; epoch 0 is the neutral model.

        Raises
        ------
        InputError
            If the loss stops being a number however low the learning rate.
        """
        newest = newest_checkpoint(self.run.checkpoints_path) if resume else None
        if newest is not None:
            self._restore(newest)
        else:
            self._in_poses_of(0)
            self._begin(progress)
        while (epoch := len(self.rows)) <= self.config.epochs:
            if self._leaves_out_channels(epoch - 1, sweep):
                self._begin(progress)
                continue
            self._between_epochs(epoch - 1, sweep)
            try:
                row = self._epoch(epoch, progress)
            except DivergedError as fault:
                self._go_back(fault)
                continue
            self.rows.append(row)
            self._save(epoch)
            progress.epoch(row, self.config.epochs)
        self._measure_mean_model()
        return self.rows

    def _begin(self, progress: Progress) -> None:
        """Networks at the principal components; the row of the neutral model."""
        self._start_from_principal_components()
        self.rows = [self._neutral_row()]
        progress.epoch(self.rows[0], self.config.epochs)

    def _leaves_out_channels(self, done: int, sweep: Callable[[str, int, int], None]) -> bool:
        """Whether held-out particles gain nothing by some channel: then all begins without it."""
        config = self.config
        if done != config.channel_round or channels_path(self.run).is_file():
            return False
        found = channel_shares(self.setup, self.networks, config)
        kept = found.kept()
        leaves_out = kept != config.vary
        if leaves_out:
            LOG.info(
                "the training begins again and varies %s alone: of the gain, %s",
                " and ".join(kept),
                ", ".join(f"{100 * share:.1f}% is by {c}" for c, share in found.shares.items()),
            )
            config = replace(config, vary=kept)
            # what the other channels left goes first: broken off here, all begins anew
            forget_training_of(self.run)
            self.run.record_options(replace(self.run.config(), training=config))
            shown = partial(sweep, "encoder input")
            self._set_up(prepare_training(self.run, config, shown), config)
        found.save(self.run)
        return leaves_out

    def _between_epochs(self, done: int, sweep: Callable[[str, int, int], None]) -> None:
        """Better the poses, and tell junk from particles, by what the networks know by now."""
        setup, networks, config = self.setup, self.networks, self.config
        if done in config.pose_rounds and self._poses_found_after() < done:
            setup = refine_poses(setup, networks, config, done, sweep)
        if done in config.junk_rounds and judged_after(self.run.particles_path) < done:
            setup = judge_particles(
                setup, networks_in(setup, networks, config), config, done, sweep
            )
        self.setup = setup

    def _measure_mean_model(self) -> None:
        """Add the held-out FRC of the mean latent vector to the row of the epoch that is kept."""
        kept = best_epoch(self.rows)
        if kept == 0 or "held_out_frc_mean" in self.rows[kept]:
            return
        modules = {"encoder": self.networks.encoder, "decoder": self.networks.decoder}
        last = module_weights(**modules)
        load_weights(load_checkpoint(self.run.checkpoints_path, BEST).weights, **modules)
        self.rows[kept]["held_out_frc_mean"] = self._mean_frc(self.setup.split.held_out)
        load_weights(last, **modules)
        self.run.write_metrics(self.rows)

    def _go_back(self, fault: DivergedError) -> None:
        """To the last epoch whose loss was a number, with half of the learning rate."""
        factor = 0.5 * self._rate_factor
        if factor < SMALLEST_RATE_FACTOR:
            raise InputError(
                f"--learning-rate {fault.rate:g}",
                f"the loss became {fault.loss} in epoch {len(self.rows)}, at lower rates too",
                "Look for images that are blank or far brighter than the others "
                "(`cryoparts check`), or start a new run with a lower rate.",
            ) from fault
        newest = newest_checkpoint(self.run.checkpoints_path) if len(self.rows) > 1 else None
        self.networks = self._build()
        self.optimiser = make_optimiser(self.networks)
        if newest is None:
            self._in_poses_of(0)
            self._start_from_principal_components()
        else:
            self._restore(newest)
        self._rate_factor = factor
        LOG.warning(
            "the loss became %s in epoch %d: back to the end of epoch %d, with %g of the "
            "learning rate",
            fault.loss,
            len(self.rows),
            len(self.rows) - 1,
            factor,
        )

    def _poses_found_after(self) -> int:
        """The epoch after which the poses in use were found; 0 of given ones."""
        return poses_found_after(self.run.particles_path)

    def _in_poses_of(self, epoch: int) -> None:
        """Take the poses and probabilities that were in use after this epoch, and its round."""
        folder = self.run.particles_path
        poses, judged = forget_rounds_after(folder, epoch), forget_judgements_after(folder, epoch)
        if poses or judged:
            self.setup = prepare_training(self.run, self.config)

    def _start_from_principal_components(self) -> None:
        deviation = self.setup.encoder_input.deviation
        if deviation is not None:
            self.networks.encoder.start_from(deviation)

    def _epoch(self, epoch: int, progress: Progress) -> dict[str, float]:
        task = Epoch(
            self.setup,
            self._used,
            self.optimiser,
            self.config,
            epoch,
            self._rate_factor,
            self._halving,
        )
        epochs, before = self.config.epochs, self.rows[-1].get("seconds", 0.0)
        done = team().together(
            task,
            partial(progress.step, epoch),
            particles=epochs * len(self.setup.split.training),
            seconds=(epochs - epoch + 1) * before,
            most=max(1, self.config.batch_size // FEWEST_OF_A_BATCH),
        )
        if done.diverged:
            raise DivergedError(done.loss, self.optimiser.param_groups[0]["lr"])
        return {
            "epoch": epoch,
            "loss": done.loss,
            "train_frc": self._frc(self._training_sample()),
            "held_out_frc": self._frc(self.setup.split.held_out),
            "learning_rate": float(self.optimiser.param_groups[0]["lr"]),
            "learning_rate_factor": self._rate_factor,
            "particles_per_second": done.particles / done.seconds,
            "poses_found_after": self._poses_found_after(),
            "seconds": done.seconds,
            "peak_memory_mib": peak_memory_mib(),
        }

    @property
    def _used(self) -> Networks:
        """The networks as they are used: they leave to refined poses what is theirs."""
        return networks_in(self.setup, self.networks, self.config)

    def _gaussians(self, latent: Tensor) -> Gaussians:
        return deform(self.setup.neutral, self._used.decoder(latent), self.config.vary)

    def _frc(self, indices: NDArray[np.int64], *, still: Gaussians | None = None) -> float:
        """Mean FRC over the band and the particles, each by its own Gaussians or all by `still`.

        NaN where there are no particles.
        """
        if not len(indices):
            return float("nan")
        task = HeldAgainst(self.setup, self._used, self.config, still)
        return team().total(task, indices, self.config.batch_size) / len(indices)

    def _mean_frc(self, indices: NDArray[np.int64]) -> float:
        """Mean FRC of the particles with the model at their mean latent vector.

        What each particle's own vector gains over it is heterogeneity; what this
        gains over the neutral model is only that model's misfit.
        """
        if not len(indices):
            return float("nan")
        device = self.setup.forward.device
        self.networks.encoder.eval()
        self.networks.decoder.eval()
        with torch.no_grad():
            rows = self.setup.encoder_input.rows
            chunks = np.array_split(indices, -(-len(indices) // self.config.batch_size))
            total = sum(self.networks.encoder(rows(chunk, device)).sum(dim=0) for chunk in chunks)
            mean = (total / len(indices))[None]
            return self._frc(indices, still=single(self._gaussians(mean), self.setup.neutral))

    def _training_sample(self) -> NDArray[np.int64]:
        """As many training particles as are held out, or `SAMPLE`: what is gained on own data."""
        count = min(SAMPLE, max(1, len(self.setup.split.held_out)))
        return self.setup.split.training[:: max(1, len(self.setup.split.training) // count)][:count]

    def _neutral_row(self) -> dict[str, float]:
        return {
            "epoch": 0,
            "train_frc": self._frc(self._training_sample(), still=self.setup.neutral),
            "held_out_frc": self._frc(self.setup.split.held_out, still=self.setup.neutral),
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
        self._in_poses_of(checkpoint.epoch)
        self._rate_factor = self.rows[-1].get("learning_rate_factor", 1.0)
        LOG.info("resumed after epoch %d", checkpoint.epoch)


def forget_training_of(run: RunDirectory) -> None:
    """Delete what a training has written: networks, metrics, and what is found between epochs."""
    run.metrics_path.unlink(missing_ok=True)
    shutil.rmtree(run.checkpoints_path, ignore_errors=True)
    forget_rounds_after(run.particles_path, 0)
    forget_judgements_after(run.particles_path, 0)
    forget_encoder_input(run.particles_path)


def best_epoch(rows: list[dict[str, float]]) -> int:
    """Epoch whose networks are kept (`chosen_epoch`); the last one where nothing is held out.

    Of those in the poses that were found last: the networks know no others.
    """
    if len(rows) < 2:
        return 0
    poses = rows[-1].get("poses_found_after", 0)
    trained = [row for row in rows[1:] if row.get("poses_found_after", 0) == poses]
    scores = np.array([row["held_out_frc"] for row in trained])
    if not np.isfinite(scores).all():
        return int(trained[-1]["epoch"])
    return int(trained[chosen_epoch(scores, rows[0]["held_out_frc"])]["epoch"])
