"""A run folder as one object: what is in it, opened when it is asked for and once."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cryoparts.config import PartsConfig
from cryoparts.gaussians.model import GaussianModel
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.io.run_directory import RunDirectory
from cryoparts.motion.motion_files import read_motion_summary
from cryoparts.occupancy.composition import Composition
from cryoparts.particles.pose_change import PoseChange, current_change
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.parts.part_labels import PartLabels
from cryoparts.run.result_options import kept_options
from cryoparts.states.focused_particles import FocusedParticles
from cryoparts.training.setup import TrainingSetup, prepare_training, run_split, set_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cryoparts.config import RunConfig, TrainingConfig
    from cryoparts.image_model.losses import Objective
    from cryoparts.inference.calibration import Calibration
    from cryoparts.inference.decoded import Decoded
    from cryoparts.training.split import Split


class Run:
    """A run: options, particles, model, networks and every result that its folder holds.

    Nothing but the options is read before it is asked for; torch and numba get as many threads
    as these say. What a training fixed (particles, model,
    networks, scales, noise) is opened once; what steps may write anew (parts, states,
    motion, composition) is read from the folder every time, as these files are small.

    Parameters
    ----------
    directory : RunDirectory
        Where every file of the run is.

    Examples
    --------
    >>> run = Run.open(Path("runs/first"))  # doctest: +SKIP
    >>> run.parts.n_parts  # doctest: +SKIP
    8
    >>> for batch in run.decoded():  # doctest: +SKIP
    ...     batch.relative_amplitudes.shape
    """

    def __init__(self, directory: RunDirectory) -> None:
        self.directory = directory
        set_threads(self.config.training.threads)

    @classmethod
    def open(cls, path: Path) -> Self:
        """The run in a folder.

        Raises
        ------
        InputError
            If it is no run folder.
        """
        return cls(RunDirectory.open(path))

    def __repr__(self) -> str:
        return f"Run({str(self.directory.root)!r})"

    @property
    def root(self) -> Path:
        """The run folder."""
        return self.directory.root

    @cached_property
    def config(self) -> RunConfig:
        """The options that the run was made with."""
        return self.directory.config()

    @property
    def training(self) -> TrainingConfig:
        """The options of the training."""
        return self.config.training

    @cached_property
    def model(self) -> GaussianModel:
        """The neutral Gaussian model: N positions (Å), amplitudes and widths (Å)."""
        return GaussianModel.load(self.directory.gaussians_path)

    @cached_property
    def particles(self) -> PreparedParticles:
        """The P working images with poses, CTFs, half sets and names."""
        return PreparedParticles.open(self.directory.particles_path)

    @property
    def pose_change(self) -> PoseChange | None:
        """What was found to be wrong with the given poses; None where they stay as given."""
        change = current_change(self.directory.particles_path)
        return change if len(change) else None

    @cached_property
    def split(self) -> Split:
        """Which particles were trained on and which were held out."""
        return run_split(self.particles, self.training)

    @property
    def particle_weights(self) -> NDArray[np.float64]:
        """Probability (P,) that each particle is what the model describes, in its pose."""
        return self.decoder.particle_weights

    @property
    def trusted_split(self) -> Split:
        """As `split`, of the particles that are probably good."""
        return self.split.only_trusted(self.particle_weights)

    @cached_property
    def setup(self) -> TrainingSetup:
        """Forward model, objective, split and encoder input of the training."""
        return self.prepare()

    def prepare(self, progress: Callable[[int, int], None] | None = None) -> TrainingSetup:
        """As `setup`, which it fills, with progress: the first time, all particles are read."""
        self.__dict__["setup"] = prepare_training(self.directory, self.training, progress)
        return self.setup

    @property
    def objective(self) -> Objective:
        """Agreement of image and model, over the band, with the noise measured in the data."""
        return self.setup.objective

    @property
    def noise(self) -> NDArray[np.float32]:
        """Noise power (R,) of each Fourier ring, a pixel."""
        noise: NDArray[np.float32] = self.setup.noise.cpu().numpy()
        return noise

    @cached_property
    def decoder(self) -> TrainedDecoder:
        """The trained networks of the best epoch.

        Raises
        ------
        InputError
            If the training has not come to its end.
        """
        self.directory.require_latents()
        return TrainedDecoder(self.directory)

    @property
    def calibration(self) -> Calibration:
        """The scales of the decoder's output."""
        return self.decoder.calibration

    @property
    def latent(self) -> NDArray[np.float32]:
        """Latent vectors (P, Z): refined by each particle's image where the run did so."""
        return self.decoder.latent()

    @property
    def encoded(self) -> NDArray[np.float32]:
        """Latent vectors (P, Z) of the encoder alone."""
        encoded: NDArray[np.float32] = self.decoder.encoded_run().cpu().numpy()
        return encoded

    def decoded(
        self, rows: NDArray[np.int64] | None = None, gaussians: NDArray[np.int64] | None = None
    ) -> Iterator[Decoded]:
        """Amplitudes, displacements and widths, a batch of particles at a time.

        Parameters
        ----------
        rows : int array, optional
            Particles. Default: all.
        gaussians : int array, optional
            Gaussians that are kept. Default: all.
        """
        return self.decoder.batches(rows, gaussians)

    def forget_training(self) -> None:
        """Open options, networks, scales and poses anew when asked for: a training has gone on."""
        for name in ("config", "decoder", "setup", "particles"):
            self.__dict__.pop(name, None)

    def forget_poses(self) -> None:
        """Open poses anew when asked for: they have been refined, along with motions."""
        for name in ("setup", "particles"):
            self.__dict__.pop(name, None)

    @property
    def has_parts(self) -> bool:
        """Whether parts have been found (or that there is none)."""
        return (self.directory.parts_path / "labels.npy").is_file()

    @property
    def parts(self) -> PartLabels:
        """The part of every Gaussian.

        Raises
        ------
        InputError
            If the step has not run.
        """
        self.directory.require(
            self.directory.parts_path / "labels.npy", f"cryoparts parts {self.root}"
        )
        return PartLabels.load(self.directory.parts_path)

    @property
    def parts_options(self) -> PartsConfig:
        """The options that the parts were found with."""
        return kept_options(self.directory.parts_path, PartsConfig, self.config.parts)

    def states(self, parts: int | Sequence[int]) -> FocusedParticles:
        """The particles as one part, or several together, see them.

        Raises
        ------
        InputError
            If `focus` has not run on them.
        """
        several = [parts] if isinstance(parts, int) else list(parts)
        folder = (
            self.directory.focus_path(several[0])
            if len(several) == 1
            else self.directory.focus_on_several_path(several)
        )
        names = " ".join(f"part_{part}" for part in several)
        self.directory.require(
            folder / "particles.csv", f"cryoparts focus {self.root} --parts {names}"
        )
        return FocusedParticles.load(folder)

    @property
    def motions(self) -> dict[str, Any] | None:
        """Axis, angle and shift of each part's motion; None where `motion` has not run."""
        return read_motion_summary(self.directory.motion_path)

    @property
    def composition(self) -> Composition:
        """Presence of each part in each particle, and its occupancy.

        Raises
        ------
        InputError
            If the step has not run.
        """
        self.directory.require(self.directory.presence_path, f"cryoparts composition {self.root}")
        return Composition.load(self.directory.composition_path)


def open_run(path: str | Path) -> Run:
    """The run in a folder.

    Parameters
    ----------
    path : str or Path
        Made by ``cryoparts run`` or ``cryoparts train``.

    Raises
    ------
    InputError
        If it is no run folder.
    """
    return Run.open(Path(path))
