"""The encoder's input: computed once for every particle, read from disk in rows.

By default the scores of the particle's gradients along their principal
components, the same few hundred numbers however many Gaussians there are; the
published encoder gets the gradients themselves, in half precision.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from cryoparts.image_model.gradients import (
    BATCH,
    CHANNELS,
    agreement_gradients,
    channel_scale,
    unit_deviation,
)
from cryoparts.io.array_file import ArrayFile, read_npz
from cryoparts.io.atomic import write_atomically
from cryoparts.io.files import reading
from cryoparts.parallel.current import team
from cryoparts.parallel.sharing import told_after
from cryoparts.particles.pose_change import changes_trained_in
from cryoparts.seeds import Purpose, random_for
from cryoparts.training.principal_components import (
    PrincipalComponents,
    sample_size,
    varying_channels,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from cryoparts.config import Channel
    from cryoparts.image_model.deformation import Gaussians
    from cryoparts.image_model.forward_model import ForwardModel
    from cryoparts.image_model.losses import Objective

VALUES = "encoder_input"
MAP = "encoder_input.npz"
WHAT = "the encoder's input"
CURE = "Run `cryoparts train` again on a new folder."


@dataclass(frozen=True)
class InputMap:
    """From a particle's gradients to the encoder's input.

    Parameters
    ----------
    scale : Tensor, shape (4,)
        See `channel_scale`.
    components : PrincipalComponents or None
        None passes all gradients on.
    """

    scale: Tensor
    components: PrincipalComponents | None

    @classmethod
    def open(cls, folder: Path, device: torch.device) -> Self:
        """Open what `compute_encoder_input` wrote.

        Raises
        ------
        InputError
            If the file is missing or damaged.
        """
        arrays = read_npz(folder / MAP, WHAT, CURE)
        with reading(folder / MAP, WHAT, CURE):
            scale = torch.as_tensor(arrays.pop("scale"), device=device)
            return cls(scale, PrincipalComponents(**arrays) if arrays else None)

    def of_gradients(self, gradients: Tensor) -> Tensor:
        """Inputs (n, width) of bare gradients (n, N, 4)."""
        scaled = gradients * self.scale
        return scaled.flatten(1) if self.components is None else self.components.scores(scaled)


@dataclass(frozen=True)
class EncoderInput:
    """The inputs of P particles.

    Parameters
    ----------
    values : float16 or float32 array or file, shape (P, width)
    map : InputMap
        How they were made: what other particles must pass through to be asked about.
    """

    values: ArrayFile | NDArray[np.float32]
    map: InputMap

    def __len__(self) -> int:
        return len(self.values)

    def rows(self, indices: NDArray[np.int64], device: torch.device) -> Tensor:
        """The chosen particles' inputs (n, width) in single precision."""
        chosen = self.values.take(indices, axis=0)
        return torch.from_numpy(chosen.astype(np.float32, copy=False)).to(device)

    @property
    def width(self) -> int:
        """Length of one particle's input."""
        return int(self.values.shape[1])

    @property
    def deviation(self) -> Tensor | None:
        """Deviation (width,) of each score, falling; None of bare gradients."""
        components = self.map.components
        return None if components is None else torch.from_numpy(components.deviation)

    @classmethod
    def open(cls, folder: Path, device: torch.device) -> Self:
        """Open what `compute_encoder_input` wrote.

        Raises
        ------
        InputError
            If a file is missing or damaged.
        """
        known, values = InputMap.open(folder, device), values_path(folder)
        with reading(values, WHAT, CURE):
            return cls(ArrayFile.open(values), known)

    @classmethod
    def is_complete(cls, folder: Path) -> bool:
        """Whether both files are there; the values are written last."""
        return (folder / MAP).is_file() and values_path(folder).is_file()


def values_path(folder: Path) -> Path:
    """File of the values in the poses that are trained on: the given ones, or refined ones.

    Its name tells after which epoch these were found. A change that was found after the
    training changes no input of the encoder.
    """
    changes = changes_trained_in(folder)
    found_after = changes[-1].stem.removeprefix("pose_change") if changes else ""
    return folder / f"{VALUES}{found_after}.npy"


def forget_encoder_input(folder: Path) -> None:
    """Delete the inputs, in all poses: what may vary is another matter now."""
    for path in (folder / MAP, *folder.glob(f"{VALUES}*.npy")):
        path.unlink(missing_ok=True)


def compute_encoder_input(
    forward: ForwardModel,
    objective: Objective,
    neutral: Gaussians,
    folder: Path,
    *,
    vary: tuple[Channel, ...],
    training: NDArray[np.int64],
    seed: int,
    bare: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> EncoderInput:
    """Compute and store the inputs of all particles; the gradients of each once.

    Parameters
    ----------
    forward, objective, neutral
        As in `agreement_gradients`.
    folder : Path
        Where the two files go.
    vary : tuple
        Channels that may change.
    training : array, shape (n,)
        Particles that scale and components may be taken from: not the held-out ones.
    seed : int
        Seed of the sample and of the decomposition.
    bare : bool
        Keep the gradients themselves.
    progress : callable or None
        Told the number of particles done, and their total, after each batch.
    """
    gradients = GradientInputs(forward, objective, neutral)
    count = len(forward.particles)
    rest = np.arange(count)
    if bare:
        mapping, known = InputMap(channel_scale(forward, objective, neutral, training), None), None
    else:
        channels = varying_channels(vary)
        values = len(neutral.amplitudes) * len(channels)
        size = sample_size(len(training), values)
        rows = np.sort(
            random_for(seed, Purpose.COMPONENTS_SAMPLE).choice(training, size=size, replace=False)
        )
        sample = np.empty((size, len(neutral.amplitudes), len(channels)), dtype=np.float32)
        power = np.zeros(CHANNELS)
        wanted = replace(gradients, channels=channels)
        told = told_after(progress, 0, count)
        for place, of_rows in team().sweep(wanted, rows, BATCH, told):
            sample[place] = of_rows
            power[channels] += np.square(of_rows).mean(axis=1).sum(axis=0) / size
        scale = unit_deviation(torch.as_tensor(power, dtype=torch.float32, device=forward.device))
        sample *= scale.cpu().numpy()[channels]
        flat = sample.reshape(size, values)
        components = PrincipalComponents.of(flat, channels, seed)
        mapping = InputMap(scale, components)
        # the sample's gradients are known: none of them is computed a second time
        known = _scores(components, flat)
        rest = np.setdiff1d(rest, rows)
        del sample, flat
    _write_map(folder / MAP, mapping)
    width = len(neutral.amplitudes) * CHANNELS if known is None else known.shape[1]
    with _new_values(folder, count, width, bare=bare) as stored:
        if known is not None:
            stored.put(rows, known)
        told = told_after(progress, count - len(rest), count)
        for place, of_rows in team().sweep(replace(gradients, map=mapping), rest, BATCH, told):
            stored.put(rest[place], of_rows)
    return EncoderInput.open(folder, forward.device)


def in_new_poses(
    known: InputMap,
    forward: ForwardModel,
    objective: Objective,
    neutral: Gaussians,
    folder: Path,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> EncoderInput:
    """Compute and store the inputs of all particles in refined poses, by a map that is known.

    The map stays as it is, so that an encoder that has learned from it learns on.

    Parameters
    ----------
    known : InputMap
        Of the same particles in the poses before.
    forward, objective, neutral, folder, progress
        As in `compute_encoder_input`; `forward` has the refined poses.
    """
    rows = np.arange(len(forward.particles))
    bare = known.components is None
    width = (
        len(neutral.amplitudes) * CHANNELS
        if known.components is None
        else len(known.components.directions)
    )
    gradients = GradientInputs(forward, objective, neutral, map=known)
    with _new_values(folder, len(rows), width, bare=bare) as stored:
        for place, of_rows in team().sweep(gradients, rows, BATCH, progress):
            stored.put(rows[place], of_rows)
    return EncoderInput.open(folder, forward.device)


@contextmanager
def _new_values(folder: Path, count: int, width: int, *, bare: bool) -> Iterator[ArrayFile]:
    """A file of values to be filled; it is there once all are."""
    dtype = np.dtype(np.float16 if bare else np.float32)
    path = values_path(folder)
    with write_atomically(path) as temporary:
        yield ArrayFile.create(temporary, (count, width), dtype)
    for other in folder.glob(f"{VALUES}*.npy"):
        if other != path:
            other.unlink()


@dataclass(frozen=True)
class GradientInputs:
    """Bare gradients of a batch of particles (n, N, C), or their inputs by a known map."""

    forward: ForwardModel
    objective: Objective
    neutral: Gaussians
    channels: NDArray[np.int64] | None = None
    """Of the four channels, those that are kept; default: all."""
    map: InputMap | None = None

    def __call__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of the particles `rows`."""
        found = agreement_gradients(self.forward, self.objective, self.neutral, rows)
        if self.map is not None:
            found = self.map.of_gradients(found)
        elif self.channels is not None:
            found = found[..., self.channels]
        values: NDArray[np.float32] = found.cpu().numpy()
        return values


def _scores(components: PrincipalComponents, sample: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (S, K) of a sample's varying gradients (S, V)."""
    scores = np.empty((len(sample), len(components.directions)), dtype=np.float32)
    for start in range(0, len(sample), BATCH):
        place = slice(start, start + BATCH)
        scores[place] = components.scores_of_varying(torch.from_numpy(sample[place])).numpy()
    return scores


def _write_map(path: Path, mapping: InputMap) -> None:
    arrays: dict[str, Any] = {"scale": mapping.scale.cpu().numpy()}
    parts = mapping.components
    if parts is not None:
        arrays |= {
            "mean": parts.mean,
            "directions": parts.directions,
            "deviation": parts.deviation,
            "channels": parts.channels,
        }
    with write_atomically(path) as temporary:
        np.savez(temporary, **arrays)
