"""What the trained networks say of each particle's Gaussians."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.image_model.deformation import (
    channel_count,
    displacement,
    relative_amplitude,
    relative_width,
)
from cryoparts.inference.calibration import (
    OwnLevels,
    own_levels,
    reference_gaussians,
    scale_of_particles,
)
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.statistics.trusted import trusted_rows
from cryoparts.training.checkpoint import BEST, load_checkpoint, load_weights
from cryoparts.training.encoder_input import EncoderInput
from cryoparts.training.networks import build_networks
from cryoparts.training.setup import choose_device

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.io.run_directory import RunDirectory

BATCH = 256

MEAN_SAMPLE = 4000
"""Particles whose mean displacement is taken: a mean over more moves by hundredths of an Å."""


@dataclass(frozen=True)
class Decoded:
    """The decoder's output for n particles; a kind that did not vary is None.

    Parameters
    ----------
    names : str array, shape (n,)
        The particles' own names.
    relative_amplitudes : float32 array, shape (n, N), or None
        Amplitudes over each Gaussian's own where it is there, on a scale where what does
        not vary is 1.
    displacements : float32 array, shape (n, N, 3), or None
        Å, from the mean over the particles: a Gaussian lies at its neutral position plus
        `TrainedDecoder.mean_displacement` plus this. Whoever needs the place itself (to
        compare with an image, to draw the molecule) asks
        `TrainedDecoder.displacements_from_neutral`.
    relative_widths : float32 array, shape (n, N), or None
        Widths over the neutral ones.
    """

    names: NDArray[np.str_]
    relative_amplitudes: NDArray[np.float32] | None
    displacements: NDArray[np.float32] | None
    relative_widths: NDArray[np.float32] | None

    @property
    def relative_scalars(self) -> NDArray[np.float32] | None:
        """Relative amplitudes (n, N), or relative widths where amplitudes did not vary.

        Parts and states see one number a Gaussian beside its displacement: how
        much of it is there or, failing that, how blurred it is.
        """
        amplitudes = self.relative_amplitudes
        return self.relative_widths if amplitudes is None else amplitudes

    def of_gaussians(self, columns: NDArray[np.int64]) -> Decoded:
        """The same particles with the chosen Gaussians alone."""
        kinds = (self.relative_amplitudes, self.displacements, self.relative_widths)
        return Decoded(self.names, *(None if kind is None else kind[:, columns] for kind in kinds))


class TrainedDecoder:
    """The networks of a finished training, ready to be asked.

    Parameters
    ----------
    run : RunDirectory
        With a best checkpoint in it.

    Attributes
    ----------
    particle_weights : array, shape (P,)
        Probability that each particle is what the model describes, in its pose; 1 where
        the run has not been judged. Levels, scales and means are of those above one half.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.config = run.config().training
        self.device = choose_device(self.config.device)
        self.particles = PreparedParticles.open(run.particles_path)
        run.require(run.encoder_input_path, f"cryoparts train -o {run.root}")
        self.encoder_input = EncoderInput.open(run.particles_path, self.device)
        self.networks = build_networks(
            self.config,
            GaussianModel.load(run.gaussians_path),
            self.encoder_input.width,
            channel_count(self.config.vary),
            self.particles.box_size * self.particles.pixel_size_angstrom,
            self.device,
        )
        checkpoint = load_checkpoint(run.checkpoints_path, BEST)
        self.epoch = checkpoint.epoch
        load_weights(
            checkpoint.weights, encoder=self.networks.encoder, decoder=self.networks.decoder
        )
        self.networks.encoder.eval()
        self.networks.decoder.eval()
        self._amplitude_scale: tuple[NDArray[np.bool_], OwnLevels] | None = None
        self._mean_displacement: Tensor | None = None
        self._latent: Tensor | None = None
        count = len(self.particles)
        if run.latent_path.is_file():
            stored = _stored(run.latent_path, (count, self.config.latent_dimensions))
            self._latent = torch.as_tensor(stored, device=self.device)
        self.particle_weights: NDArray[np.float64] = np.ones(count)
        if run.probability_path.is_file():
            self.particle_weights = _stored(run.probability_path, (count,)).astype(np.float64)

    def asked_about(
        self, particles: PreparedParticles, encoder_input: EncoderInput, latent: Tensor | None
    ) -> TrainedDecoder:
        """The same networks, asked about other particles on the same scales.

        Parameters
        ----------
        particles : PreparedParticles
            P others.
        encoder_input : EncoderInput
            Theirs.
        latent : Tensor, shape (P, Z), or None
            Their latent vectors; None takes the encoder's.
        """
        if "amplitude" in self.config.vary:
            self.reference()
        if "position" in self.config.vary:
            self.mean_displacement()
        other = copy(self)
        other.particles, other.encoder_input, other._latent = particles, encoder_input, latent
        other.particle_weights = np.ones(len(particles))
        return other

    def latent(self) -> NDArray[np.float32]:
        """Latent vectors (P, Z) of all particles: the refined ones where there are any."""
        return self.latent_of(np.arange(len(self.particles))).cpu().numpy()

    def displacements_from_neutral(self, decoded: Decoded) -> NDArray[np.floating] | None:
        """Displacements (n, N, 3) in Å of all Gaussians from their neutral positions.

        Those of `decoded` are from the mean over the particles, which is added here.
        """
        if decoded.displacements is None:
            return None
        mean: NDArray[np.float32] = self.mean_displacement().cpu().numpy()
        return decoded.displacements + mean

    def latent_of(self, indices: NDArray[np.int64]) -> Tensor:
        """Latent vectors (n, Z) of the chosen particles."""
        return self.encoded(indices) if self._latent is None else self._latent[indices]

    @torch.no_grad()
    def encoded(self, indices: NDArray[np.int64]) -> Tensor:
        """What the encoder alone says of the chosen particles (n, Z)."""
        return torch.cat([self.networks.encoder(self._inputs(c)) for c in self._chunks(indices)])

    def decode(
        self, indices: NDArray[np.int64] | None = None, gaussians: NDArray[np.int64] | None = None
    ) -> Decoded:
        """Decode the chosen particles (default: all), keeping the chosen Gaussians (default: all).

        Memory is bounded by the result and one batch.
        """
        chosen = np.arange(len(self.particles)) if indices is None else indices
        kept = slice(None) if gaussians is None else gaussians
        columns: tuple[list[NDArray[np.float32]], ...] = ([], [], [])
        for offsets in self._offsets(chosen):
            amplitude = relative_amplitude(offsets, self.config.vary)
            if amplitude is not None:
                reference, levels = self._calibrated()
                scale = scale_of_particles(amplitude, reference)
                amplitude = levels.relative(amplitude / scale[:, None])
            moved = displacement(offsets, self.config.vary)
            if moved is not None:
                moved = moved - self.mean_displacement()
            width = relative_width(offsets, self.config.vary)
            for column, value in zip(columns, (amplitude, moved, width), strict=True):
                if value is not None:
                    column.append(value.cpu().numpy()[:, kept])
        amplitudes, displacements, widths = (np.concatenate(c) if c else None for c in columns)
        return Decoded(self.particles.names[chosen], amplitudes, displacements, widths)

    @torch.no_grad()
    def offsets(self, indices: NDArray[np.int64]) -> Tensor:
        """The decoder's output (n, N, channels) for the chosen particles, all at once."""
        offsets: Tensor = self.networks.decoder(self.latent_of(indices))
        return offsets

    def reference(self) -> NDArray[np.bool_]:
        """Gaussians (N,) whose amplitudes vary least: the scale of amplitudes is theirs."""
        return self._calibrated()[0]

    def _calibrated(self) -> tuple[NDArray[np.bool_], OwnLevels]:
        """The reference Gaussians and every Gaussian's own levels, found once."""
        if self._amplitude_scale is None:
            amplitudes = [
                amplitude.cpu().numpy()
                for offsets in self._offsets(self._spread(1000))
                if (amplitude := relative_amplitude(offsets, self.config.vary)) is not None
            ]
            sample = np.concatenate(amplitudes)
            reference = reference_gaussians(sample)
            scale = scale_of_particles(torch.as_tensor(sample), reference).numpy()
            self._amplitude_scale = reference, own_levels(sample / scale[:, None])
        return self._amplitude_scale

    def mean_displacement(self) -> Tensor:
        """Mean displacement (N, 3) over the particles, Å: the neutral model's own misfit.

        Where the neutral model does not fit the mean of the data, every particle
        moves its Gaussians alike; that is no motion of the molecule.
        """
        if self._mean_displacement is None:
            rows = self._spread(MEAN_SAMPLE)
            moved = (displacement(o, self.config.vary) for o in self._offsets(rows))
            sums = [m.sum(dim=0) for m in moved if m is not None]
            self._mean_displacement = torch.stack(sums).sum(dim=0) / len(rows)
        return self._mean_displacement

    def _spread(self, count: int) -> NDArray[np.int64]:
        """At most `count` trusted particles, spread over the file."""
        rows = trusted_rows(self.particle_weights)
        total = len(rows)
        return rows[np.unique(np.linspace(0, total - 1, min(total, count)).astype(np.int64))]

    @torch.no_grad()
    def _offsets(self, indices: NDArray[np.int64]) -> Iterator[Tensor]:
        for chunk in self._chunks(indices):
            yield self.offsets(chunk)

    def _inputs(self, indices: NDArray[np.int64]) -> Tensor:
        return self.encoder_input.rows(indices, self.device)

    @staticmethod
    def _chunks(indices: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        for start in range(0, len(indices), BATCH):
            yield indices[start : start + BATCH]


def _stored(path: Path, expected: tuple[int, ...]) -> NDArray[np.float32]:
    """An array of the run, one row a particle."""
    stored: NDArray[np.float32] = np.load(path, allow_pickle=False)
    if stored.shape != expected:
        raise InputError(
            str(path),
            f"holds an array {stored.shape}, the run has {expected}",
            "Run `cryoparts train` with --resume again.",
        )
    return stored
