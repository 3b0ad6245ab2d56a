"""What the trained networks say of each particle's Gaussians."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from copy import copy
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.image_model.deformation import (
    Gaussians,
    channel_count,
    deform,
    displacement,
    relative_amplitude,
    relative_width,
)
from cryoparts.inference.calibration import (
    Calibration,
    own_levels,
    reference_gaussians,
    scale_of_particles,
    sums_where_there,
)
from cryoparts.inference.decoded import Decoded
from cryoparts.inference.kept_offsets import STEP, KeptOffsets
from cryoparts.inference.missed_regions import MissedRegions
from cryoparts.io.derived import content_checksum, derived, file_state
from cryoparts.io.tables import load_array
from cryoparts.networks.extended_decoder import ExtendedDecoder
from cryoparts.parallel.current import team
from cryoparts.parallel.team import Team
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.statistics.evenly_spaced import evenly_spaced
from cryoparts.statistics.trusted import trusted_rows
from cryoparts.training.checkpoint import BEST, load_checkpoint, load_weights
from cryoparts.training.encoder_input import MAP, EncoderInput, values_path
from cryoparts.training.networks import Networks, build_networks
from cryoparts.training.setup import choose_device
from cryoparts.training.split import rows_of_half
from cryoparts.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.io.run_directory import RunDirectory

BATCH = 64
"""Particles decoded together: 2 MB of output for 2,048 Gaussians. A few thousand particles are
batches enough for several processes."""

DECODED_AT_ONCE = STEP
"""Of these, on the processor: of more, what a layer hands to the next does not stay in its
caches (2.1 instead of 1.5 ms a particle with 256)."""

AMPLITUDE_SAMPLE = 1000
"""Particles whose amplitudes tell the reference Gaussians and every Gaussian's levels."""

MEAN_SAMPLE = 4000
"""Particles whose mean displacement is taken: a mean over more moves by hundredths of an Å."""


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
        the run has not been judged. Levels, scales and means are of those trusted.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.config = run.config().training
        self.device = choose_device(self.config.device)
        self.particles = PreparedParticles.open(run.particles_path)
        run.require(values_path(run.particles_path), f"cryoparts train -o {run.root}")
        self.encoder_input = EncoderInput.open(run.particles_path, self.device)
        self.neutral = GaussianModel.load(run.gaussians_path)
        self.networks = build_networks(
            self.config,
            self.neutral,
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
        if self.particles.poses_refined:
            self._hold_core()
        self.extended: ExtendedDecoder | None = None
        self._extend(MissedRegions.load(run.missed_path, len(self.neutral)))
        self._run = run
        self._calibration: Calibration | None = None
        self._encoded: Tensor | None = None
        self._latent: Tensor | None = None
        self._kept: KeptOffsets | None = None
        count = len(self.particles)
        if run.latent_path.is_file():
            stored = _stored(run.latent_path, (count, self.latent_dimensions))
            self._latent = torch.as_tensor(stored, device=self.device)
        self.particle_weights = particle_probability(run, count)

    def _copy(self) -> TrainedDecoder:
        other = copy(self)
        other._kept = None  # it will be asked something else
        return other

    def _hold_core(self) -> None:
        neutral = Gaussians.neutral(self.neutral, self.device)
        self.networks = self.networks.held_to_core(neutral, self.config.vary)

    def _extend(self, missed: MissedRegions) -> None:
        self._missed = missed
        if not len(missed):
            return
        regions = torch.as_tensor(missed.members, device=self.device)
        channel = channel_count(self.config.vary[: self.config.vary.index("amplitude")])
        self.extended = ExtendedDecoder(self.networks.decoder, regions, channel).eval()
        self.networks = Networks(self.networks.encoder, self.extended)

    @property
    def latent_dimensions(self) -> int:
        """Length of a latent vector, with one dimension for each region that was missed."""
        further = 0 if self.extended is None else self.extended.further
        return self.config.latent_dimensions + further

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
        self._calibration, self._encoded = self.calibration, self.encoded_run()
        other = self._copy()
        other.particles, other.encoder_input, other._latent = particles, encoder_input, latent
        other.particle_weights = np.ones(len(particles))
        return other

    def with_latent(self, latent: Tensor, particles: PreparedParticles) -> TrainedDecoder:
        """The same networks with latent vectors (P, Z) and refined poses of the run's particles."""
        other = self._copy()
        other.particles, other._latent, other._calibration = particles, latent, None
        return other

    def held_to_core(self) -> TrainedDecoder:
        """The same, leaving motions of the whole molecule to poses that are to be refined."""
        other = self._copy()
        other._hold_core()
        other._calibration = None
        return other

    def judged(self, probability: NDArray[np.float64]) -> TrainedDecoder:
        """The same with the probability (P,) that each particle is what the model describes."""
        other = self._copy()
        other.particle_weights, other._calibration = probability, None
        return other

    def extended_by(self, missed: MissedRegions) -> TrainedDecoder:
        """The same with a latent dimension for each region; latent vectors are the encoder's."""
        other = self._copy()
        other._extend(missed)
        other._latent = other._encoded = other._calibration = None
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

    def encoded_run(self) -> Tensor:
        """What the encoder alone says of all particles of the run (P, Z), kept in its folder.

        The prior of every refinement, of the run's particles and of others, is theirs.
        """
        if self._encoded is None:
            everyone = np.arange(len(self.encoder_input))
            depends = self._networks_state | {"particles": len(self.encoder_input)}
            stored = derived(
                self._run.encoded_path,
                depends,
                lambda: {"latent": self.encoded(everyone).cpu().numpy()},
            )
            self._encoded = torch.as_tensor(stored["latent"], device=self.device)
        return self._encoded

    @property
    def _networks_state(self) -> dict[str, object]:
        """What the networks' answers depend on."""
        run = self._run
        return {
            "program": __version__,
            "checkpoint": content_checksum(run.checkpoints_path / f"{BEST}.safetensors"),
            "encoder input": content_checksum(run.particles_path / MAP),
            "missed regions": hashlib.sha256(self._missed.members.tobytes()).hexdigest(),
            "values": file_state(values_path(run.particles_path)),
        }

    @torch.no_grad()
    def encoded(self, indices: NDArray[np.int64]) -> Tensor:
        """What the encoder alone says of the chosen particles (n, Z)."""
        chunks = self._chunks(indices)
        encoded = torch.cat([self.networks.encoder(self._inputs(chunk)) for chunk in chunks])
        # the encoder knows nothing of regions that were missed
        return nn.functional.pad(encoded, (0, self.latent_dimensions - encoded.shape[1]))

    def decode(
        self, indices: NDArray[np.int64] | None = None, gaussians: NDArray[np.int64] | None = None
    ) -> Decoded:
        """Decode the chosen particles (default: all), keeping the chosen Gaussians (default: all).

        Memory is bounded by the result and one batch.
        """
        return Decoded.joined(list(self.batches(indices, gaussians)))

    def batches(
        self,
        indices: NDArray[np.int64] | None = None,
        gaussians: NDArray[np.int64] | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Iterator[Decoded]:
        """As `decode`, a batch of particles at a time: memory is bounded by one batch.

        Without particles, one empty batch. `progress` is told the particles done, and all.
        """
        chosen = np.arange(len(self.particles)) if indices is None else indices
        if not len(chosen):
            yield self._decoded(chosen, gaussians)
            return
        self.calibration  # noqa: B018 - measured once, and not by every process that decodes
        task = partial(self._decoded, gaussians=gaussians)
        # what is kept is read here: to be sent it by others would take as long
        workers = Team(1) if self.keeps_all else team()
        for _, decoded in workers.sweep(task, chosen, BATCH, progress):
            yield decoded

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Within the block all particles are decoded once, however many steps ask for them.

        The decoder's output is kept in a file without a name in the run folder. On a card
        decoding is faster than a disk.
        """
        if self._kept is not None or self.device.type != "cpu":
            yield
            return
        shape = (len(self.particles), len(self.neutral), channel_count(self.config.vary))
        self._kept = KeptOffsets.where_there_is_room(self._run.root, shape)
        try:
            yield
        finally:
            if self._kept is not None:
                self._kept.close()
            self._kept = None

    @property
    def keeps_all(self) -> bool:
        """Whether no particle needs to be decoded any more."""
        return self._kept is not None and self._kept.is_complete

    def _decoded(self, rows: NDArray[np.int64], gaussians: NDArray[np.int64] | None) -> Decoded:
        """Decode one batch."""
        chosen = slice(None) if gaussians is None else gaussians
        kinds = self._relative(self._offsets_kept(rows))
        return Decoded(
            self.particles.names[rows],
            *(None if kind is None else kind.cpu().numpy()[:, chosen] for kind in kinds),
        )

    def _offsets_kept(self, rows: NDArray[np.int64]) -> Tensor:
        """As `offsets`: what is kept, or decoded and kept from now on."""
        if self._kept is None:
            return self.offsets(rows)
        found = self._kept.read(rows)
        if found is not None:
            return torch.from_numpy(found)
        offsets = self.offsets(rows)
        self._kept.write(rows, offsets.numpy())
        return offsets

    def _relative(self, offsets: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Amplitudes, displacements and widths of a batch on the run's scales."""
        calibration, vary = self.calibration, self.config.vary
        amplitude = self._relative_amplitude(offsets, calibration)
        moved = displacement(offsets, vary)
        if moved is not None:
            moved = moved - self.mean_displacement()
        return amplitude, moved, relative_width(offsets, vary)

    @torch.no_grad()
    def offsets(self, indices: NDArray[np.int64]) -> Tensor:
        """The decoder's output (n, N, channels) for the chosen particles, all at once."""
        latent = self.latent_of(indices)
        size = DECODED_AT_ONCE if latent.device.type == "cpu" else max(len(latent), 1)
        return torch.cat([self.networks.decoder(few) for few in torch.split(latent, size)])

    def gaussians_of(self, neutral: Gaussians, indices: NDArray[np.int64]) -> Gaussians:
        """The Gaussians of each of the chosen particles, as they are projected."""
        return deform(neutral, self.offsets(indices), self.config.vary)

    @property
    def calibration(self) -> Calibration:
        """The scales of the decoder's output, measured once a run and kept in its folder."""
        if self._calibration is None:
            run = self._run
            depends = self._networks_state | {
                "latent vectors": content_checksum(run.latent_path),
                "probabilities": content_checksum(run.probability_path),
                "particles": len(self.particles),
                "poses refined": self.particles.poses_refined,
                "vary": self.config.vary,
            }
            stored = derived(run.calibration_path, depends, lambda: self._calibrate().as_arrays())
            self._calibration = Calibration.from_arrays(stored)
        return self._calibration

    def reference(self) -> NDArray[np.bool_]:
        """Gaussians (N,) whose amplitudes vary least: the scale of amplitudes is theirs."""
        if self.calibration.reference is None:
            raise ValueError("amplitudes did not vary in this run")
        return self.calibration.reference

    def mean_displacement(self) -> Tensor:
        """Mean displacement (N, 3) over the particles, Å: the neutral model's own misfit."""
        if self.calibration.mean_displacement is None:
            raise ValueError("positions did not vary in this run")
        return torch.as_tensor(self.calibration.mean_displacement, device=self.device)

    def _calibrate(self) -> Calibration:
        reference, levels, mean = None, None, None
        if "amplitude" in self.config.vary:
            rows = self._spread(AMPLITUDE_SAMPLE)
            sample = np.concatenate([of for _, of in team().sweep(self._amplitudes, rows, BATCH)])
            reference = reference_gaussians(sample)
            self._require(bool(reference.any()))
            scale = scale_of_particles(torch.as_tensor(sample), reference).numpy()
            levels = own_levels(sample / scale[:, None])
        if "position" in self.config.vary:
            task = partial(self._moved, known=Calibration(reference, levels, None))
            moved, weight = team().total(task, self._spread(MEAN_SAMPLE), BATCH)
            mean = (moved / weight).numpy()
            self._require(bool(np.isfinite(mean).all()))
        return Calibration(reference, levels, mean)

    def _amplitudes(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Amplitudes (n, N) on the decoder's own scale."""
        amplitude = relative_amplitude(self.offsets(rows), self.config.vary)
        assert amplitude is not None
        found: NDArray[np.float32] = amplitude.cpu().numpy()
        return found

    def _moved(self, rows: NDArray[np.int64], known: Calibration) -> tuple[Tensor, Tensor]:
        """Sums of displacements (N, 3) and of their weights (N, 1) over the particles `rows`."""
        offsets = self.offsets(rows)
        moved = displacement(offsets, self.config.vary)
        assert moved is not None
        total, weight = sums_where_there(moved, self._relative_amplitude(offsets, known))
        return total.cpu(), weight.cpu()

    def _relative_amplitude(self, offsets: Tensor, known: Calibration) -> Tensor | None:
        """Amplitudes (n, N), 0 not there, 1 there; None where they do not vary."""
        amplitude = relative_amplitude(offsets, self.config.vary)
        if amplitude is None or known.reference is None or known.levels is None:
            return amplitude
        scale = scale_of_particles(amplitude, known.reference)
        return known.levels.relative(amplitude / scale[:, None])

    def _require(self, sound: bool) -> None:  # noqa: FBT001
        """Networks whose output is no number were not trained so: a loss of that kind goes back."""
        if not sound:
            raise InputError(
                str(self._run.root),
                "what the networks say of the particles is no number: latent.npy or "
                "checkpoints/best.safetensors is damaged",
                "Give the command of the run again with --resume; if that does not help, remove "
                "checkpoints/ before.",
            )

    def _spread(self, count: int) -> NDArray[np.int64]:
        """At most `count` trusted particles of the run's own half set, spread over the file."""
        own = rows_of_half(self.particles.half_set, self.config.half)
        return evenly_spaced(own[trusted_rows(self.particle_weights[own])], count)

    def _inputs(self, indices: NDArray[np.int64]) -> Tensor:
        return self.encoder_input.rows(indices, self.device)

    @staticmethod
    def _chunks(indices: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        for start in range(0, max(len(indices), 1), BATCH):
            yield indices[start : start + BATCH]


def particle_probability(run: RunDirectory, count: int) -> NDArray[np.float64]:
    """Probability (P,) that each of `count` particles is what the model describes, in its pose.

    All 1 where the run has not been judged.
    """
    if not run.probability_path.is_file():
        return np.ones(count)
    return _stored(run.probability_path, (count,)).astype(np.float64)


def _stored(path: Path, expected: tuple[int, ...]) -> NDArray[np.float32]:
    """An array of the run, one row a particle."""
    stored: NDArray[np.float32] = load_array(path)
    if stored.shape != expected:
        raise InputError(
            str(path),
            f"holds an array {stored.shape}, the run has {expected}",
            "Run `cryoparts train` with --resume again.",
        )
    return stored
