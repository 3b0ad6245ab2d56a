"""Options of the training."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from cryoparts.config.limits import require

Channel = Literal["position", "amplitude", "width", "auto"]
DecoderName = Literal["point-transformer", "mlp", "hierarchical-mlp"]
LossName = Literal["whitened", "frc"]

ENOUGH_STEPS, MOST_EPOCHS = 400, 24
"""Steps of a training that more are advised up to, and epochs that are at the most: of 1,200
particles 136 steps found one, one and three of three moving regions, 408 all three (three seeds,
benchmarks/results/maps.md)."""


@dataclass(frozen=True)
class TrainingConfig:
    """What is trained, on what, and for how long."""

    decoder: DecoderName = "point-transformer"
    """The network that turns a particle's latent vector into changes of the Gaussians:
    attention among neighbours, all Gaussians at once (mlp), or few coarse ones that the others
    follow (hierarchical-mlp)."""

    preset: Literal["fast", "paper"] = "fast"
    """Point Transformer configuration: the cheap default, or the published one."""

    vary: tuple[Channel, ...] = ("position", "amplitude")
    """What may change in each Gaussian. auto: positions and amplitudes, with
    --choose-channels."""

    choose_channels: bool = False
    """Leave out of --vary, after a quarter of the training, what held-out particles gain
    little by, and begin again without it. A motion that is small beside what comes and
    goes would be lost."""

    latent_dimensions: int = 8
    """Length of the latent vector of a particle."""

    epochs: int = 8
    """Passes over the training particles."""

    batch_size: int = 64
    """Particles a training step."""

    learning_rate: float | None = None
    """Peak learning rate of Adam. Default: 2e-3 (point-transformer; falling to 1e-3
    from 540 to 1,440 steps), 5e-4 (mlp), 2e-3 (hierarchical-mlp), 1e-4 (preset paper)."""

    loss: LossName = "whitened"
    """Objective: correlation whitened by the measured noise, or mean FRC."""

    min_resolution_angstrom: float | None = None
    """Coarsest resolution compared, Å. Default: half of the box."""

    max_resolution_angstrom: float | None = None
    """Finest resolution compared, Å. Default: 2.25 working pixels."""

    half: Literal[1, 2] | None = None
    """Train on one half set only."""

    held_out_fraction: float = 0.1
    """Part of the particles never trained on, whose FRC is logged every epoch."""

    refinement: int | None = None
    """How often each particle's latent vector is linearised and improved by its own
    likelihood after the training. Default: 1; 0 with preset paper."""

    refine_poses: bool = True
    """Refine the given poses where the images show them to be wrong; others stay as given."""

    seed: int = 0
    """Seed of everything random."""

    threads: int | None = None
    """CPU threads. Default: all cores."""

    device: str = "auto"
    """cpu, cuda, or auto: cuda where there is one."""

    @property
    def published(self) -> bool:
        """Whether encoder and decoder are the published ones, unchanged."""
        return self.preset == "paper" and self.decoder == "point-transformer"

    @property
    def refinement_steps(self) -> int:
        """`refinement`, the default filled in."""
        if self.refinement is not None:
            return self.refinement
        return 0 if self.published else 1

    def advised_epochs(self, particles: int) -> int:
        """Epochs that learn enough of so many particles: more than `epochs` where they are few."""
        trained = max((1 - self.held_out_fraction) * particles, 1)
        return max(
            self.epochs, min(MOST_EPOCHS, math.ceil(ENOUGH_STEPS * self.batch_size / trained))
        )

    @property
    def pose_rounds(self) -> tuple[int, ...]:
        """Epochs after which poses are refined, where that is worth it."""
        return self._rounds(0.25, 0.5, 0.75) if self.refine_poses else ()

    @property
    def junk_rounds(self) -> tuple[int, ...]:
        """Epochs after which it is judged which particles are what the model describes."""
        return self._rounds(0.25, 0.5)

    @property
    def channel_round(self) -> int | None:
        """Epoch after which channels are chosen; None where they are as given."""
        return min(self.junk_rounds, default=None) if self.choose_channels else None

    def _rounds(self, *shares: float) -> tuple[int, ...]:
        """Epochs at these shares of the training; none of the published one."""
        if self.published:
            return ()
        return tuple(sorted({round(share * self.epochs) for share in shares} - {0, self.epochs}))

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        if self.vary == ("auto",):
            object.__setattr__(self, "vary", ("position", "amplitude"))
            object.__setattr__(self, "choose_channels", True)
        require(
            "auto" not in self.vary,
            "--vary",
            "auto alone, or without it",
            self.vary,
            "Write --vary auto, or --vary position amplitude.",
        )
        require(
            len(self.vary) > 0 and len(set(self.vary)) == len(self.vary),
            "--vary",
            "one or more of position, amplitude, width, each once",
            self.vary,
            "Write --vary amplitude, or --vary position --vary amplitude.",
        )
        for option, value in (
            ("--latent-dimensions", self.latent_dimensions),
            ("--epochs", self.epochs),
            ("--batch-size", self.batch_size),
        ):
            require(value >= 1, option, "at least 1", value, "Give a positive whole number.")
        require(
            self.learning_rate is None or self.learning_rate > 0,
            "--learning-rate",
            "positive",
            self.learning_rate,
            "2e-3 is usual.",
        )
        require(
            0 <= self.held_out_fraction < 1,
            "--held-out-fraction",
            "at least 0 and below 1",
            self.held_out_fraction,
            "0.1 is usual.",
        )
        require(
            self.refinement is None or self.refinement >= 0,
            "--refinement",
            "at least 0",
            self.refinement,
            "1 is usual; 0 keeps what the encoder says.",
        )
        require(
            self.threads is None or self.threads >= 1,
            "--threads",
            "at least 1",
            self.threads,
            "Leave it out to use every core.",
        )
        coarse, fine = self.min_resolution_angstrom, self.max_resolution_angstrom
        for option, limit in (("--min-resolution", coarse), ("--max-resolution", fine)):
            require(
                limit is None or limit > 0, option, "positive", limit, "Give a resolution in Å."
            )
        require(
            coarse is None or fine is None or coarse > fine,
            "--min-resolution",
            f"coarser (a larger number of Å) than --max-resolution {fine}",
            coarse,
            "The band runs from --min-resolution (for example 100) to --max-resolution (15).",
        )
