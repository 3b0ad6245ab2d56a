"""The training of a run once more: on one half set, with another seed, on null particles.

Each is a run folder of its own in RUN/trust/<name>, with the same model and the
same options but for the one that is changed. A finished one is not trained
again; an interrupted one goes on.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.inference.latents import write_latents
from cryoparts.io.array_file import ArrayFile
from cryoparts.io.atomic import make_folder_atomically
from cryoparts.io.run_directory import RunDirectory
from cryoparts.missed.missed_parts import find_missed
from cryoparts.particles.prepared import IMAGES, PARTICLES, PREPROCESSING
from cryoparts.seeds import Purpose, seed_for
from cryoparts.statistics.by_image import first_rows
from cryoparts.training.setup import prepare_training
from cryoparts.training.trainer import Trainer
from cryoparts.validation.null_particles import NullImaging

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryoparts.config import TrainingConfig
    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.training.setup import TrainingSetup
    from cryoparts.training.trainer import Progress

NULL_NAME = "null"


@dataclass(frozen=True)
class Repeat:
    """A training to be made once more.

    Parameters
    ----------
    name : str
        Of its folder: "seed_1", "half_2", "null".
    config : TrainingConfig
        Its options.
    """

    name: str
    config: TrainingConfig


def seed_repeats(config: TrainingConfig, number: int) -> list[Repeat]:
    """The same training from `number` other seeds."""
    config = _as_chosen(config)
    return [
        Repeat(f"seed_{config.seed + k}", replace(config, seed=config.seed + k))
        for k in range(1, number + 1)
    ]


def half_repeats(config: TrainingConfig) -> list[Repeat]:
    """The same training on each half set."""
    config = _as_chosen(config)
    return [
        Repeat("half_1", replace(config, half=1)),
        Repeat("half_2", replace(config, half=2)),
    ]


def null_repeat(config: TrainingConfig) -> Repeat:
    """The same training on null particles."""
    return Repeat(NULL_NAME, _as_chosen(config))


def _as_chosen(config: TrainingConfig) -> TrainingConfig:
    """The options with the run's own channels, that are not chosen again."""
    return replace(config, choose_channels=False)


def is_trained(run: RunDirectory) -> bool:
    """Whether the training in this folder has come to its end."""
    return run.latent_path.is_file()


def repeat_training(
    run: RunDirectory,
    repeat: Repeat,
    progress: Progress,
    *,
    null_of: tuple[TrainedDecoder, TrainingSetup] | None = None,
    shown: Callable[[int, int], None] | None = None,
) -> RunDirectory:
    """Train once more, unless it has been done.

    Parameters
    ----------
    run : RunDirectory
        The trained run.
    repeat : Repeat
    progress : Progress
        Told of steps and epochs.
    null_of : (TrainedDecoder, TrainingSetup), optional
        Of the run; makes this a training on null particles.
    shown : callable, optional
        Told the particles done, and their total, while the encoder's input is computed.

    Returns
    -------
    RunDirectory
        RUN/trust/<name>, trained.

    Raises
    ------
    InputError
        If the folder holds a training with other options.
    """
    folder = run.trust_path / repeat.name
    made = RunDirectory(folder)
    if not made.config_path.is_file():
        _start(run, repeat, folder, null_of)
    elif made.config().training != repeat.config:
        raise InputError(
            str(folder), "was trained with other options", "Remove that folder and run again."
        )
    if not is_trained(made):
        setup = prepare_training(made, repeat.config, shown)
        trainer = Trainer(made, setup, repeat.config)
        trainer.train(progress, resume=True)
        write_latents(made, trainer.setup, shown, second_pass=find_missed)
    return made


def _start(
    run: RunDirectory,
    repeat: Repeat,
    folder: Path,
    null_of: tuple[TrainedDecoder, TrainingSetup] | None,
) -> None:
    """Make the run folder: config, neutral model and particles."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with make_folder_atomically(folder) as staging:
        made = RunDirectory.create(staging, replace(run.config(), training=repeat.config), [])
        shutil.copyfile(run.gaussians_path, made.gaussians_path)
        if null_of is None:
            _share_particles(run.particles_path, made.particles_path, folder)
        else:
            imaging = NullImaging.measure(*null_of)
            _write_null_particles(
                imaging, made.particles_path, seed_for(repeat.config.seed, Purpose.NULL_TRAINING)
            )


def _share_particles(source: Path, target: Path, folder: Path) -> None:
    """The run's own working images, without a second copy where links work.

    The encoder's input is not shared: its scale and components come from the particles
    that are trained on, and half sets must not know of each other.
    """
    target.mkdir()
    for name in (IMAGES, PARTICLES, PREPROCESSING):
        seen_from = folder.resolve() / target.name
        try:
            (target / name).symlink_to(os.path.relpath(source.resolve() / name, seen_from))
        except OSError:
            shutil.copyfile(source / name, target / name)


def _write_null_particles(imaging: NullImaging, target: Path, seed: int) -> None:
    real = imaging.setup.forward.particles
    target.mkdir()
    shutil.copyfile(real.folder / PARTICLES, target / PARTICLES)
    rows = first_rows(real.working_image)
    shape = (len(rows), real.box_size, real.box_size)
    images = ArrayFile.create(target / IMAGES, shape, np.dtype(np.float32))
    done = 0
    for batch in imaging.batches(rows, seed):
        images.put(np.arange(done, done + len(batch)), batch)
        done += len(batch)
    details = real.details | {"source": "null particles of " + str(real.details.get("source", ""))}
    (target / PREPROCESSING).write_text(json.dumps(details, indent=2) + "\n", encoding="utf-8")
