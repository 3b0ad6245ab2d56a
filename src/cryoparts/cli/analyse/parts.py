"""`cryoparts parts`: group the Gaussians that change together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.cli.analyse.trust import drop_flagged
from cryoparts.cli.console import say, table, warn
from cryoparts.cli.options import Parting, RunFolder
from cryoparts.config import PartsConfig
from cryoparts.errors import InputError
from cryoparts.gaussians.model import GaussianModel
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.structure import write_gaussians_cif
from cryoparts.parts.changes import choose_sample
from cryoparts.parts.edit_history import (
    bring_up_to_date,
    forget_edits,
    read_edits,
    same_parts,
)
from cryoparts.parts.part_chains import atoms_of_run, in_brief
from cryoparts.parts.part_description import (
    PartDescription,
    describe_parts,
    read_stability,
    write_description,
)
from cryoparts.parts.part_kinds import measure_part_changes
from cryoparts.parts.part_labels import PartLabels
from cryoparts.parts.segmentation import segment_gaussians
from cryoparts.training.setup import set_threads

if TYPE_CHECKING:
    from cryoparts.inference.decoded import Decoded
    from cryoparts.parts.edit_history import Downstream
    from cryoparts.parts.part_chains import Atoms


def parts(run: RunFolder, *, options: Parting = PartsConfig()) -> None:
    """Find the parts of the molecule: Gaussians that come, go or move together.

    Label 0 is the core, which changes least; parts are numbered by size. Writes
    what each part is (size, chains, kind of change) to parts/description.csv.
    Edits that were made by hand are forgotten.
    """
    folder = RunDirectory.open(run)
    with folder.logging():
        find_parts(folder, options)


def find_parts(run: RunDirectory, options: PartsConfig) -> PartLabels:
    """Label the Gaussians of a trained run and write its parts/ folder."""
    config = run.config()
    set_threads(config.training.threads)
    seed = config.training.seed
    model = GaussianModel.load(run.gaussians_path)
    trained = TrainedDecoder(run)
    decoded = trained.decode(choose_sample(len(trained.particles), options.sample, seed))
    labels = segment_gaussians(
        model.positions,
        decoded.relative_scalars,
        decoded.displacements,
        method=options.embedding,
        min_part_size=options.min_part_size,
        seed=seed,
    )
    if not options.keep_flagged:
        labels = drop_flagged(run, trained, labels)
    _replace_earlier(run, labels)
    labels.save(run.parts_path)
    show_parts(run, model, labels, decoded)
    return labels


def describe_run(run: RunDirectory) -> None:
    """Describe the parts as they are now, from a sample of the particles."""
    config = run.config()
    set_threads(config.training.threads)
    trained = TrainedDecoder(run)
    sample = choose_sample(len(trained.particles), config.parts.sample, config.training.seed)
    model = GaussianModel.load(run.gaussians_path)
    show_parts(run, model, PartLabels.load(run.parts_path), trained.decode(sample))


def show_parts(
    run: RunDirectory, model: GaussianModel, labels: PartLabels, decoded: Decoded
) -> None:
    """Write what the parts are, colour gaussians.cif by them, and show a table."""
    write_gaussians_cif(
        run.gaussians_cif_path, model.positions, model.amplitudes, model.widths, labels.labels
    )
    changes = measure_part_changes(model, labels, decoded.relative_scalars, decoded.displacements)
    described = describe_parts(model, labels, changes, _atoms(run, model))
    write_description(run.parts_path, described, read_stability(run.trust_path))
    if labels.n_parts == 0:
        say("no part changes beyond the noise")
        return
    _show(described, labels.n_parts)


def tell_downstream(told: Downstream) -> None:
    """Say which results went out of date with an edit, and which were kept."""
    if told.removed:
        say(f"out of date and removed: {', '.join(told.removed)}")
    if told.moved:
        say(f"renumbered: {', '.join(told.moved)}")


def _replace_earlier(run: RunDirectory, labels: PartLabels) -> None:
    """Results of parts that were found before do not hold for others."""
    if not (run.parts_path / "labels.npy").is_file():
        return
    before = PartLabels.load(run.parts_path)
    if edits := read_edits(run.parts_path):
        say(f"forgotten, as parts are found anew: {'; '.join(str(e['edit']) for e in edits)}")
        forget_edits(run.parts_path)
    if len(before) == len(labels) and not np.array_equal(before.labels, labels.labels):
        tell_downstream(bring_up_to_date(run, before, same_parts(before.labels, labels.labels)))


def _atoms(run: RunDirectory, model: GaussianModel) -> Atoms | None:
    """The run's atoms; a structure that is gone costs the chains, not the parts."""
    try:
        return atoms_of_run(run, model)
    except InputError as fault:
        warn(f"chains and residues of the parts are not known: {fault}")
        return None


def _show(described: list[PartDescription], n_parts: int) -> None:
    rows = []
    for one in described:
        share = f"{100 * one.mass_share:.1f}%"
        change = one.change
        kind = "" if change is None else change.in_words()
        name = one.label if one.name == one.label else f"{one.label} {one.name}"
        rows.append([name, one.gaussians, share, kind, in_brief(one.chains, most=3)])
    title = f"{n_parts} parts" if n_parts > 1 else "1 part"
    table(title, ["", "Gaussians", "mass", "change", "chains"], rows)
