"""`cryoparts composition`: which parts each particle has, how often, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoparts.cli.console import progress_bar, say, table
from cryoparts.cli.options import RunFolder
from cryoparts.gaussians.model import GaussianModel
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.io.run_directory import RunDirectory
from cryoparts.occupancy.composition import Composition, find_composition
from cryoparts.occupancy.image_amplitudes import measure_amplitudes
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.parts.part_labels import PartLabels
from cryoparts.states.state_populations import save_populations, state_populations
from cryoparts.training.setup import set_threads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cryoparts.occupancy.image_amplitudes import DisplacementsOf
    from cryoparts.occupancy.presence import Presence


def composition(run: RunFolder) -> None:
    """Measure each part's amplitude in every image, and from it presence and occupancy.

    Writes composition/occupancies.csv (a row a part, with 95% intervals),
    presence.csv (the probability that each particle has each part),
    amplitudes.csv (what was measured, with its error) and populations.csv (particles
    in each state of focus/, counted and by probability).
    """
    folder = RunDirectory.open(run)
    with folder.logging():
        folder.require(folder.parts_path, f"cryoparts parts {folder.root}")
        judge_composition(folder)


def judge_composition(run: RunDirectory) -> Composition | None:
    """Write the composition/ folder of a run, if it has parts."""
    labels = PartLabels.load(run.parts_path)
    if labels.n_parts == 0:
        say("no part changes, so there is no composition to judge")
        return None
    config = run.config().training
    set_threads(config.threads)
    particles = PreparedParticles.open(run.particles_path)
    with progress_bar("composition") as shown:
        measured = measure_amplitudes(
            particles,
            GaussianModel.load(run.gaussians_path),
            labels,
            config,
            _displacements_of(run) if "position" in config.vary else None,
            shown,
        )
    found = find_composition(measured, labels.part_names, particles.image)
    found.save(run.composition_path)
    parts = range(1, labels.n_parts + 1)
    focused = {k: run.focus_path(k) for k in parts if run.focus_path(k).is_dir()}
    save_populations(run.composition_path / "populations.csv", state_populations(focused))
    _show(found)
    return found


def _displacements_of(run: RunDirectory) -> DisplacementsOf:
    """The parts' projections follow the motion that the networks see."""
    trained = TrainedDecoder(run)

    def displacements(rows: NDArray[np.int64]) -> NDArray[np.floating]:
        moved = trained.displacements_from_neutral(trained.decode(rows))
        assert moved is not None  # positions vary
        return moved

    return displacements


def _show(found: Composition) -> None:
    rows = [
        [name, part.change, *_occupancy(part), _doubt(found, number)]
        for number, (name, part) in enumerate(
            zip(found.part_names, found.parts, strict=True), start=1
        )
    ]
    table("Composition", ["", "change", "occupancy", "95% interval", "in doubt"], rows)


def _occupancy(part: Presence) -> list[str]:
    if part.occupancy != part.occupancy:
        return ["-", "-"]
    return [f"{100 * part.occupancy:.1f}%", f"{100 * part.low:.1f} to {100 * part.high:.1f}%"]


def _doubt(found: Composition, part: int) -> str:
    return str(found.doubtful(part)) if found.parts[part - 1].is_optional else "-"
