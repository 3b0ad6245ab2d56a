"""Everything a training needs, made from a run folder and its options."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import torch

from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.image_model.deformation import Gaussians
from cryoparts.image_model.forward_model import ForwardModel
from cryoparts.image_model.losses import Objective, resolution_band
from cryoparts.io.derived import content_checksum, derived, file_state
from cryoparts.parallel.cores import cores
from cryoparts.particles.pose_change import pose_changes
from cryoparts.particles.prepared import IMAGES, PARTICLES, PREPROCESSING, PreparedParticles
from cryoparts.seeds import Purpose, random_for
from cryoparts.training.encoder_input import (
    MAP,
    EncoderInput,
    InputMap,
    compute_encoder_input,
    in_new_poses,
)
from cryoparts.training.judgements import known_probability
from cryoparts.training.split import Split, split_particles
from cryoparts.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import TrainingConfig
    from cryoparts.io.run_directory import RunDirectory

LOG = logging.getLogger(__name__)

SPLIT_OWN_SEED = "split_has_own_seed"
"""Empty file in particles/: the held-out particles were drawn with a seed of their own."""

NOISE_SAMPLE = 2000
"""Particles on which the noise spectrum is measured."""


@dataclass(frozen=True)
class TrainingSetup:
    """What a `Trainer` works on.

    `probability` (P,) is that of each particle to be what the model describes, as the training
    knows it; all 1 before particles were judged.
    """

    model: GaussianModel
    neutral: Gaussians
    forward: ForwardModel
    noise: Tensor
    objective: Objective
    split: Split
    encoder_input: EncoderInput
    probability: NDArray[np.float64]


def prepare_training(
    run: RunDirectory, config: TrainingConfig, progress: Callable[[int, int], None] | None = None
) -> TrainingSetup:
    """Measure the noise, choose the held-out particles, compute the encoder's input.

    Parameters
    ----------
    run : RunDirectory
        With the neutral model and the working images in it.
    config : TrainingConfig
        Options.
    progress : callable or None
        Told the particles done, and their total, while the encoder's input is computed.
    """
    device = choose_device(config.device)
    particles = PreparedParticles.open(run.particles_path)
    model = GaussianModel.load(run.gaussians_path)
    neutral = Gaussians.neutral(model, device)
    forward = ForwardModel(particles, device)
    split = run_split(particles, config)
    noise = run_noise(run, config, forward, neutral, split)
    band = resolution_band(
        particles.box_size,
        particles.pixel_size_angstrom,
        config.min_resolution_angstrom,
        config.max_resolution_angstrom,
    )
    objective = Objective.make(config.loss, band, noise)
    if EncoderInput.is_complete(run.particles_path):
        encoder_input = EncoderInput.open(run.particles_path, device)
    elif (run.particles_path / MAP).is_file() and pose_changes(run.particles_path):
        # broken off between the refined poses and their inputs
        known = InputMap.open(run.particles_path, device)
        encoder_input = in_new_poses(
            known, forward, objective, neutral, run.particles_path, progress=progress
        )
    else:
        (run.particles_path / SPLIT_OWN_SEED).touch()
        encoder_input = compute_encoder_input(
            forward,
            objective,
            neutral,
            run.particles_path,
            vary=config.vary,
            training=split.training,
            seed=config.seed,
            bare=config.published,
            progress=progress,
        )
    probability = known_probability(run.particles_path, len(particles))
    return TrainingSetup(
        model, neutral, forward, noise, objective, split, encoder_input, probability
    )


def run_split(particles: PreparedParticles, config: TrainingConfig) -> Split:
    """Which particles a run trains on and which it holds out: a matter of its options alone.

    Whoever computes the encoder's input notes that it was drawn for this purpose
    (`SPLIT_OWN_SEED`); a training of version 0.1.0 has no such note, and keeps the
    particles that it held out.
    """
    folder = particles.folder
    of_old = EncoderInput.is_complete(folder) and not (folder / SPLIT_OWN_SEED).is_file()
    return split_particles(
        particles.half_set,
        config.half,
        config.held_out_fraction,
        config.seed,
        image=particles.image,
        plain_seed=of_old,
    )


def run_noise(
    run: RunDirectory,
    config: TrainingConfig,
    forward: ForwardModel,
    neutral: Gaussians,
    split: Split,
) -> Tensor:
    """Noise power (R,) a pixel of each ring, measured once a run and kept in its folder."""

    def measure() -> dict[str, NDArray[Any]]:
        chosen = random_for(config.seed, Purpose.NOISE_SAMPLE).permutation(split.training)[
            :NOISE_SAMPLE
        ]
        return {"noise": forward.measure_noise(neutral, np.sort(chosen)).cpu().numpy()}

    depends = {
        "program": __version__,
        "model": content_checksum(run.gaussians_path),
        "particles": content_checksum(run.particles_path / PARTICLES),
        "preprocessing": content_checksum(run.particles_path / PREPROCESSING),
        "images": file_state(run.particles_path / IMAGES),
        "seed": config.seed,
        "half": config.half,
        "held_out_fraction": config.held_out_fraction,
    }
    noise = derived(run.noise_path, depends, measure)["noise"]
    return torch.as_tensor(noise, device=forward.device)


def choose_device(name: str) -> torch.device:
    """The device to train on; `auto` takes CUDA where there is one.

    Raises
    ------
    InputError
        If the device is unknown or not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as fault:
        raise InputError(
            f"--device {name}", f"cannot be used: {fault}".splitlines()[0], "Use --device cpu."
        ) from fault
    return device


def set_threads(threads: int | None) -> int:
    """Give torch and numba as many threads as asked for, or as there are cores.

    The two pools take turns, as kernels are called one after the other.
    """
    chosen = min(threads or cores(), int(numba.config.NUMBA_NUM_THREADS))
    torch.set_num_threads(chosen)
    numba.set_num_threads(chosen)
    return chosen
