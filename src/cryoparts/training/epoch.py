"""One pass over the training particles, by one process or by several in step.

Each process takes its share of every batch; their gradients are added up before the
step, so that the weights are the same everywhere and the loss curve is, to rounding, that
of one process.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.image_model.deformation import Gaussians, deform
from cryoparts.image_model.forward_model import ParticleBatch
from cryoparts.image_model.losses import latent_penalty, mean_frc
from cryoparts.memory.halving import Halving
from cryoparts.seeds import Purpose, random_for, seed_for
from cryoparts.training.graphed_step import TrainingStep, recorder_for
from cryoparts.training.judgements import loss_weights
from cryoparts.training.optimiser import peak_rate, set_rate
from cryoparts.training.schedule import learning_rate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import TrainingConfig
    from cryoparts.parallel.group import Group
    from cryoparts.training.networks import Networks
    from cryoparts.training.setup import TrainingSetup

    Told = Callable[[int, int, float, float], None]

LATENT_NOISE = 0.01
"""Deviation of the noise added to latent vectors in training (Chen & Ludtke 2021)."""

FEWEST_OF_A_BATCH = 8
"""Particles that a process must have of every batch to be worth its share of the fixed work."""


class DivergedError(Exception):
    """The loss of a step is no number."""

    def __init__(self, loss: float, rate: float) -> None:
        super().__init__(f"loss {loss}")
        self.loss, self.rate = loss, rate


@dataclass(frozen=True)
class EpochDone:
    """What an epoch came to.

    Parameters
    ----------
    loss : float
        Mean over the particles; that of the last step where this was no number.
    seconds : float
    particles : int
    diverged : bool
    """

    loss: float
    seconds: float
    particles: int
    diverged: bool = False


@dataclass(frozen=True)
class Epoch:
    """Training of the networks with every training particle once.

    Parameters
    ----------
    setup : TrainingSetup
    networks : Networks
        They are changed.
    optimiser : Optimizer
        Of their weights.
    config : TrainingConfig
    number : int
        The first is 1.
    rate_factor : float
        On the learning rate.
    halving : Halving
        Particles whose gradients memory bears at once; those of a batch are added up.
    """

    setup: TrainingSetup
    networks: Networks
    optimiser: torch.optim.Optimizer
    config: TrainingConfig
    number: int
    rate_factor: float = 1.0
    halving: Halving = field(default_factory=lambda: Halving("training"))

    def __call__(self, group: Group, tell: Told) -> EpochDone:
        """Train, in step with the others of the group; tells particles done, of how many,
        the mean loss and particles/s.
        """
        # Order, latent noise and dropout depend on seed and epoch alone: resuming repeats nothing.
        order = random_for(self.config.seed, Purpose.TRAINING_ORDER, self.number).permutation(
            self.setup.split.training
        )
        self.networks.encoder.train()
        self.networks.decoder.train()
        seed = seed_for(self.config.seed, Purpose.TRAINING_NOISE, self.number)
        noise = torch.Generator().manual_seed(seed)
        started, done, total = time.perf_counter(), 0, 0.0
        recorder = recorder_for(self.setup.forward.device)
        step = TrainingStep(self._loss, self._parameters(), self.optimiser, recorder)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + group.rank)  # of dropout
            for number, share in enumerate(self._shares(order, group)):
                self._set_rate(number, len(order))
                loss = self._step(step, share, noise, group)
                total += loss * share.size
                done += share.size
                seconds = time.perf_counter() - started
                if not np.isfinite(loss):
                    return EpochDone(loss, seconds, done, diverged=True)
                tell(done, len(order), total / done, done / seconds)
        return EpochDone(total / done, time.perf_counter() - started, done)

    def _shares(self, order: NDArray[np.int64], group: Group) -> Iterator[_Share]:
        """Read this process's share of each batch while the one before it is trained on."""
        size = self.config.batch_size
        chunks = [order[start : start + size] for start in range(0, len(order), size)]
        weights = loss_weights(self.setup.probability, self.setup.split.training)
        with ThreadPoolExecutor(max_workers=1, initializer=_own_card()) as reader:
            ahead = reader.submit(_Share.read, self.setup, weights, chunks[0], group)
            for following in [*chunks[1:], None]:
                share = ahead.result()
                if following is not None:
                    ahead = reader.submit(_Share.read, self.setup, weights, following, group)
                yield share

    def _step(
        self, step: TrainingStep, share: _Share, noise: torch.Generator, group: Group
    ) -> float:
        """Loss of the whole batch, after which the networks are changed."""
        device = self.setup.forward.device
        # drawn for the whole batch, however it is shared out
        shift = torch.randn((share.size, self.config.latent_dimensions), generator=noise)
        own = shift[share.place].to(device)

        def of(place: slice) -> tuple[Tensor, ...]:
            assert share.inputs is not None
            assert share.batch is not None
            assert share.weights is not None
            inputs, batch = share.inputs[place], share.batch
            part = torch.full((), len(inputs) / share.size, device=device)
            images = (batch.data[place], batch.ctf[place], batch.rotation[place])
            return (inputs, own[place], part, share.weights[place], *images)

        def attempt(most: int) -> Tensor:
            if 0 < len(own) <= most:
                return step.gradients(*of(slice(None)))
            # what an attempt that failed has added is forgotten as well
            step.no_gradients()
            loss = torch.zeros((), device=device)
            for start in range(0, len(own), most):
                loss += step.further_gradients(*of(slice(start, start + most)))
            return loss

        loss = self.halving.tried(len(own), attempt)
        if group.size > 1:
            loss = _added_up(loss, self._parameters(), group)
        step.update()
        return float(loss)

    def _loss(
        self,
        inputs: Tensor,
        shift: Tensor,
        part: Tensor,
        weights: Tensor,
        data: Tensor,
        ctf: Tensor,
        turns: Tensor,
    ) -> Tensor:
        """Of a process's part of a batch. On a card it is captured: it reads nothing back."""
        latent = self.networks.encoder(inputs)
        gaussians = self._gaussians(latent + LATENT_NOISE * shift)
        images = self.setup.forward.images_of(gaussians, ParticleBatch(data, ctf, turns))
        agreement = self.setup.objective.agreement(data, images)
        return part * (latent_penalty(latent) - (weights * agreement).mean())

    def _gaussians(self, latent: Tensor) -> Gaussians:
        return deform(self.setup.neutral, self.networks.decoder(latent), self.config.vary)

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [*self.networks.encoder.parameters(), *self.networks.decoder.parameters()]

    def _set_rate(self, step: int, particles: int) -> None:
        steps_an_epoch = -(-particles // self.config.batch_size)
        steps = self.config.epochs * steps_an_epoch
        now = (self.number - 1) * steps_an_epoch + step
        rate = learning_rate(now, steps, peak_rate(self.config, steps))
        set_rate(self.optimiser, self.rate_factor * rate)


def _own_card() -> Callable[[], None] | None:
    """What has another thread use the card that this one uses; None where there is none."""
    if not torch.cuda.is_available():
        return None
    return partial(torch.cuda.set_device, torch.cuda.current_device())


@dataclass(frozen=True)
class _Share:
    """One process's share of a batch, read."""

    size: int  # of the whole batch
    place: slice
    inputs: Tensor | None  # None of an empty share
    batch: ParticleBatch | None
    weights: Tensor | None  # of the particles in the loss

    @classmethod
    def read(
        cls,
        setup: TrainingSetup,
        weights: NDArray[np.float64],
        chunk: NDArray[np.int64],
        group: Group,
    ) -> _Share:
        place = group.share(len(chunk))
        rows = chunk[place]
        if not len(rows):
            return cls(len(chunk), place, None, None, None)
        device = setup.forward.device
        inputs = setup.encoder_input.rows(rows, device)
        own = torch.as_tensor(weights[rows], dtype=inputs.dtype, device=device)
        return cls(len(chunk), place, inputs, setup.forward.batch(rows), own)


def _added_up(loss: Tensor, parameters: list[torch.nn.Parameter], group: Group) -> Tensor:
    """Add up the gradients of all processes, in place, and their losses, in one message."""
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    together = torch.cat([loss.reshape(1), *(g.flatten() for g in gradients)])
    group.add_up(together)
    sizes = [g.numel() for g in gradients]
    for parameter, summed in zip(parameters, torch.split(together[1:], sizes), strict=True):
        parameter.grad = summed.view_as(parameter)
    return together[0]


@dataclass(frozen=True)
class HeldAgainst:
    """Sum of the FRC over a batch of particles, each with its own Gaussians or all with `still`."""

    setup: TrainingSetup
    networks: Networks
    config: TrainingConfig
    still: Gaussians | None = None

    @torch.no_grad()
    def __call__(self, rows: NDArray[np.int64]) -> float:
        """The sum for the particles `rows`."""
        setup, networks = self.setup, self.networks
        networks.encoder.eval()
        networks.decoder.eval()
        batch = setup.forward.batch(rows)
        own = self.still
        if own is None:
            inputs = setup.encoder_input.rows(rows, setup.forward.device)
            offsets = networks.decoder(networks.encoder(inputs))
            own = deform(setup.neutral, offsets, self.config.vary)
        images = setup.forward.images_of(own, batch)
        return float(mean_frc(batch.data, images, setup.objective.band).sum())
