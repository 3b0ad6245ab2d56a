"""`cryoparts focus`: the particles, seen by one part alone or by several together."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from cyclopts import Parameter

from cryoparts.cli.console import say
from cryoparts.cli.options import Focusing, RunFolder
from cryoparts.config import FocusConfig, Order
from cryoparts.export.relion import write_selected_star
from cryoparts.export.trajectory import write_trajectory_cif
from cryoparts.gaussians.model import GaussianModel
from cryoparts.image_model.deformation import channel_count
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.io.run_directory import RunDirectory
from cryoparts.parts.part_labels import PartLabels
from cryoparts.states.focus import FocusedParticles, focus_on_part
from cryoparts.states.trajectory import sample_trajectory
from cryoparts.training.setup import set_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cryoparts.inference.decode import Decoded

MOST_DECODED = 200_000_000
"""Numbers of the decoder's output held at once (0.8 GB)."""

PartName = Annotated[
    str | None, Parameter(name="--part", help="Name or number of a part. Default: all.")
]
PartNames = Annotated[
    tuple[str, ...],
    Parameter(name="--parts", help="Parts to look at together: --parts part_1 part_3."),
]


def focus(
    run: RunFolder,
    *,
    part: PartName = None,
    parts: PartNames = (),
    options: Focusing = FocusConfig(),
) -> None:
    """Embed the particles by the Gaussians of parts, and group or order them into states.

    Without --part or --parts by every part in turn. Writes each particle's state
    by its name and, where the particles came from RELION, a .star file of each
    state that RELION opens. Along a curve, also a trajectory of the molecule, to be
    played in ChimeraX: open trajectory/trajectory.cif coordsets true.
    """
    folder = RunDirectory.open(run)
    with folder.logging():
        if parts:
            labels = _labels(folder)
            focus_together(folder, sorted({labels.part_number(name) for name in parts}), options)
        if part is not None or not parts:
            focus_parts(folder, chosen_parts(folder, part), options)


def chosen_parts(run: RunDirectory, name: str | None) -> list[int]:
    """Numbers of the part called `name`, or of all parts."""
    labels = _labels(run)
    return list(range(1, labels.n_parts + 1)) if name is None else [labels.part_number(name)]


def focus_parts(run: RunDirectory, parts: list[int], options: FocusConfig) -> None:
    """Find the states of each of the parts and write their focus/ folders."""
    if not parts:
        say("no part changes, so there are no states to find")
        return
    set_threads(run.config().training.threads)
    trained = TrainedDecoder(run)
    labels = _labels(run).labels
    for group in _groups(
        labels, parts, len(trained.particles) * channel_count(trained.config.vary)
    ):
        chosen = np.flatnonzero(np.isin(labels, group))
        decoded = trained.decode(gaussians=chosen)
        for part in group:
            own = decoded.of_gaussians(np.flatnonzero(labels[chosen] == part))
            _focus(run, trained, [part], options, own)


def _groups(labels: NDArray[np.int64], parts: list[int], numbers: int) -> Iterator[list[int]]:
    """Parts that are decoded together, with `numbers` for each of their Gaussians.

    Decoding costs the same however many Gaussians are kept; memory sets the limit.
    """
    group: list[int] = []
    held = 0
    for part in parts:
        size = numbers * int((labels == part).sum())
        if group and held + size > MOST_DECODED:
            yield group
            group, held = [], 0
        group.append(part)
        held += size
    if group:
        yield group


def focus_together(run: RunDirectory, parts: list[int], options: FocusConfig) -> None:
    """Find the states that several parts have together and write their focus/ folder."""
    set_threads(run.config().training.threads)
    trained = TrainedDecoder(run)
    chosen = np.flatnonzero(np.isin(_labels(run).labels, parts))
    _focus(run, trained, parts, options, trained.decode(gaussians=chosen))


def _labels(run: RunDirectory) -> PartLabels:
    run.require(run.parts_path, f"cryoparts parts {run.root}")
    return PartLabels.load(run.parts_path)


def _focus(
    run: RunDirectory,
    trained: TrainedDecoder,
    parts: list[int],
    options: FocusConfig,
    decoded: Decoded,
) -> None:
    """Find the states that the parts have together; `decoded` has their Gaussians alone."""
    labels = _labels(run)
    members = labels.labels[np.isin(labels.labels, parts)]
    focused = _focused(decoded, members, options, run.config().training.seed)
    folder = run.focus_path(parts[0]) if len(parts) == 1 else run.focus_on_several_path(parts)
    focused.save(folder)
    say(f"{folder.name}: {_describe(focused)}")
    shutil.rmtree(folder / "trajectory", ignore_errors=True)
    if focused.order == "curve":
        _write_trajectory(run, trained, focused, labels, options.trajectory_points)
    _write_states(run, focused, folder)


def _focused(
    decoded: Decoded, members: NDArray[np.int64], options: FocusConfig, seed: int
) -> FocusedParticles:
    """The particles in states; along a curve where there are no separate ones to be found."""
    orders: tuple[Order, ...] = (options.order,)
    if options.states is None:
        orders = (*orders, "curve")
    for order in orders:
        focused = focus_on_part(
            decoded.names,
            members,
            decoded.relative_scalars,
            decoded.displacements,
            n_states=options.states,
            order=order,
            seed=seed,
        )
        if focused.n_states > 1:
            break
    return focused


def _write_trajectory(
    run: RunDirectory,
    trained: TrainedDecoder,
    focused: FocusedParticles,
    labels: PartLabels,
    points: int,
) -> None:
    def decode(
        rows: NDArray[np.int64],
    ) -> tuple[NDArray[np.floating] | None, NDArray[np.floating] | None]:
        decoded = trained.decode(rows)
        return decoded.relative_amplitudes, trained.displacements_from_neutral(decoded)

    folder = run.focus_on_several_path(focused.parts) / "trajectory"
    trajectory = sample_trajectory(focused.coordinate, decode, points)
    trajectory.save(folder)
    model = GaussianModel.load(run.gaussians_path)
    write_trajectory_cif(folder / "trajectory.cif", model, trajectory, labels.labels)


def _write_states(run: RunDirectory, focused: FocusedParticles, folder: Path) -> None:
    """A .star file a state where the particles came from one; those of an earlier focus go."""
    for old in folder.glob("state_*.star"):
        old.unlink()
    source = Path(run.config().particles)
    if source.suffix == ".star":
        for state in range(1, focused.n_states + 1):
            names = focused.names[focused.members(state)].tolist()
            target = folder / f"state_{state}.star"
            write_selected_star(source, names, target, run.config().symmetry)


def _describe(focused: FocusedParticles) -> str:
    if focused.n_states == 1:
        return "no states"
    described = ["no separate states, cut along a curve"] if focused.order == "curve" else []
    for state in range(1, focused.n_states + 1):
        rows = focused.members(state)
        described.append(f"state_{state} {len(rows)} particles ({_change(focused, rows)})")
    return "; ".join(described)


def _change(focused: FocusedParticles, rows: NDArray[np.int64]) -> str:
    """What the parts do in the particles of a state."""
    amplitudes, moved = focused.amplitude_of_part, focused.displacement_of_part
    if amplitudes is None or moved is None:
        return f"amplitude {focused.mean_amplitude[rows].mean():.2f}"
    said = []
    for column, part in enumerate(focused.parts):
        change = f"amplitude {amplitudes[rows, column].mean():.2f}"
        if moved.any():
            change += f", displacement {moved[rows, column].mean():.1f} Å"
        said.append(change if len(focused.parts) == 1 else f"part_{part} {change}")
    return ", ".join(said)
