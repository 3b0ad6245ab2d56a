"""The pieces of a training step, each timed alone on the trainer's own objects."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any, Protocol

import machine
import operation_counts as counts
import torch
from operation_counts import MatrixProducts, Work

from cryoparts.image_model.deformation import channel_count, deform
from cryoparts.image_model.gradients import agreement_gradients
from cryoparts.image_model.losses import latent_penalty
from cryoparts.imaging.projection import splat_grid
from cryoparts.networks.levels import Geometry
from cryoparts.networks.point_transformer_decoder import AttentionLevel
from cryoparts.published.paper_point_transformer import PaperAttentionLevel

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from cryoparts.training.trainer import Trainer

FEWEST, MOST = 3, 30
"""Repeats of a piece; fewer than `FEWEST` only where one takes longer than the time given."""


class Stopwatch:
    """Times calls and the memory that they need beyond what was resident before."""

    def __init__(self, particles: int, seconds: float) -> None:
        self.particles, self.seconds = particles, seconds
        self.found: dict[str, dict[str, Any]] = {}

    def measure(
        self,
        name: str,
        work: Work,
        call: Callable[[Any], object],
        prepare: Callable[[], Any] = lambda: None,
    ) -> None:
        """Time ``call(prepare())``, the preparation not counted."""
        argument = prepare()
        watched = machine.reset_peak()
        before = machine.memory_mib("VmRSS")
        call(argument)
        after = machine.memory_mib("VmHWM")
        times: list[float] = []
        while len(times) < MOST and (
            sum(times) < self.seconds or (len(times) < FEWEST and times[0] < self.seconds)
        ):
            argument = prepare()
            started = time.perf_counter()
            call(argument)
            times.append(time.perf_counter() - started)
        grown = after - before if watched and after and before else None
        self.found[name] = {
            "milliseconds_a_particle": 1e3 * statistics.median(times) / self.particles,
            "seconds": times,
            "peak_memory_mib": grown,
            "operations_a_particle": work.operations / self.particles,
            "half_operations_a_particle": work.half_operations / self.particles,
            "bytes_a_particle": work.bytes / self.particles,
        }


class Watch(Protocol):
    """What is shown the pieces, one after the other."""

    def measure(
        self,
        name: str,
        work: Work,
        call: Callable[[Any], object],
        prepare: Callable[[], Any] = ...,
    ) -> None:
        """Be shown ``call(prepare())``, the preparation not counted."""


def measure_pieces(trainer: Trainer, watch: Watch) -> None:
    """Show a watch each piece for one batch of training particles.

    Parameters
    ----------
    trainer : Trainer
        Its networks and optimiser are used and changed.
    watch : Watch
    """
    setup, config = trainer.setup, trainer.config
    forward, objective, neutral = setup.forward, setup.objective, setup.neutral
    encoder, decoder = trainer.networks.encoder, trainer.networks.decoder
    encoder.train()
    decoder.train()
    indices = setup.split.training[: config.batch_size]
    particles = len(indices)
    box = forward.particles.box_size

    def read(_: object) -> tuple[Tensor, Any]:
        return setup.encoder_input.rows(indices, forward.device), forward.batch(indices)

    inputs, batch = read(None)
    watch.measure("read", counts.reading_work(particles, box, inputs.shape[1]), read)
    splat = _projection_work(trainer, particles, config.vary)
    loss = counts.agreement_work(particles, box)
    every = _projection_work(trainer, particles, ("position", "amplitude"))
    watch.measure(
        "gradient input",
        counts.reading_work(particles, box, 0) + every[0] + every[1] + loss[0] + loss[1],
        lambda _: agreement_gradients(forward, objective, neutral, indices),
    )

    _measure_module(watch, "encoder", encoder, inputs, (Work(), Work()))
    latent = encoder(inputs).detach().requires_grad_()
    _measure_module(watch, "decoder", decoder, latent, _kernel_work(decoder, latent))

    offsets = decoder(latent).detach().requires_grad_()

    def images(_: object = None) -> Tensor:
        return forward.images_of(deform(neutral, offsets, config.vary), batch)

    projected = images().detach().requires_grad_()

    def agreement(_: object = None) -> Tensor:
        return latent_penalty(latent) - objective.agreement(batch.data, projected).mean()

    agreement().backward()
    cotangent = projected.grad
    watch.measure("projection forward", splat[0], images)
    watch.measure("projection backward", splat[1], lambda made: made.backward(cotangent), images)
    watch.measure("loss forward", loss[0], agreement)
    watch.measure("loss backward", loss[1], lambda made: made.backward(), agreement)

    encoder(inputs).sum().backward()
    decoder(latent).sum().backward()
    parameters = [p for group in trainer.optimiser.param_groups for p in group["params"]]
    watch.measure(
        "optimiser", counts.optimiser_work(parameters), lambda _: trainer.optimiser.step()
    )


def timed_pieces(trainer: Trainer, seconds: float) -> dict[str, dict[str, Any]]:
    """Time, memory and work of each piece; about so many seconds are spent on each."""
    watch = Stopwatch(trainer.config.batch_size, seconds)
    measure_pieces(trainer, watch)
    return watch.found


def _measure_module(
    watch: Watch,
    name: str,
    module: torch.nn.Module,
    argument: Tensor,
    kernels: tuple[Work, Work],
) -> None:
    """Time a network forward and backward; matrix products are counted as they run."""

    def run(_: object = None) -> Tensor:
        module.zero_grad(set_to_none=True)
        out: Tensor = module(argument)
        return out

    with MatrixProducts() as forward:
        out = run()
    with MatrixProducts() as backward:
        out.sum().backward()
    ones = torch.ones_like(out)
    watch.measure(f"{name} forward", forward.work + kernels[0], run)
    watch.measure(
        f"{name} backward", backward.work + kernels[1], lambda made: made.backward(ones), run
    )


def _active_shares(
    decoder: torch.nn.Module, latent: Tensor
) -> dict[torch.nn.Module, tuple[float, float]]:
    """Of each published level, the channels that are not zero for all neighbours of a point.

    Of the attention MLP's inputs and its hidden layer, for the first particle.
    """
    found: dict[torch.nn.Module, tuple[float, float]] = {}

    def look(level: torch.nn.Module, arguments: tuple[Any, ...]) -> None:
        points, geometry = arguments[0][:1], arguments[1]
        query, key = level.query(points)[0], level.key(points)[0]
        delta = level.position(geometry.offsets)
        inputs = torch.relu(query[:, None] - key[geometry.neighbours] + delta)
        hidden = torch.relu(level.gamma[1](inputs))
        shares = [float((x > 0).any(dim=1).float().mean()) for x in (inputs, hidden)]
        found[level] = (shares[0], shares[1])

    levels = [m for m in decoder.modules() if isinstance(m, PaperAttentionLevel)]
    hooks = [level.register_forward_pre_hook(look) for level in levels]
    with torch.no_grad():
        decoder(latent[:1])
    for hook in hooks:
        hook.remove()
    return found


def _kernel_work(decoder: torch.nn.Module, latent: Tensor) -> tuple[Work, Work]:
    """Neighbour attention and interpolation of a decoder of levels; the MLP has none."""
    particles, active = len(latent), _active_shares(decoder, latent)
    parts: list[tuple[Work, Work]] = []
    levels = [m for m in decoder.modules() if isinstance(m, Geometry)]
    attentions = getattr(decoder, "attention", [])
    heads = getattr(decoder, "heads", [])
    coarser = 0
    for geometry, attention, head in zip(levels, attentions, heads, strict=True):
        points, degree = geometry.neighbours.shape
        channels, outputs = head.in_features, head.out_features
        if isinstance(attention, PaperAttentionLevel):
            width = attention.query.out_features
            parts.append(
                counts.pair_attention_work(
                    particles, points, degree, width, active[attention], attention.backward_dtype
                )
            )
        if isinstance(attention, AttentionLevel):
            gamma = attention.gamma
            sizes = (points, degree, gamma.in_features, channels, gamma.out_features)
            parts.append(counts.attention_work(particles, *sizes))
        if coarser:
            degree_up = geometry.up_indices.shape[1]
            sizes = (points, coarser, degree_up, channels)
            parts.append(counts.interpolation_work(particles, *sizes))
        gaussians, degree_out = geometry.output_indices.shape
        learned = getattr(geometry, "output_logits", None) is not None
        sizes = (gaussians, points, degree_out, outputs)
        parts.append(counts.interpolation_work(particles, *sizes, learned=learned))
        coarser = points
    forward, backward = Work(), Work()
    for part in parts:
        forward, backward = forward + part[0], backward + part[1]
    return forward, backward


def _projection_work(trainer: Trainer, particles: int, vary: tuple[Any, ...]) -> tuple[Work, Work]:
    images = trainer.setup.forward.particles
    box = images.box_size
    grid = splat_grid(box)
    widths = trainer.setup.model.widths * (grid / box / images.pixel_size_angstrom)
    supports = counts.support_of(widths)
    splat = counts.splat_work(particles, grid, supports, per_particle_arrays=channel_count(vary))
    rest = counts.transform_work(particles, grid) + counts.times_ctf_work(particles, box)
    return splat[0] + rest, splat[1] + rest
