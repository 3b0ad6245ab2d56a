"""`cryoparts parts`: group the Gaussians that change together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.cli.console import say, table
from cryoparts.cli.options import Parting, RunFolder
from cryoparts.config import PartsConfig
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.run_directory import RunDirectory
from cryoparts.io.structure import write_gaussians_cif
from cryoparts.parts.changes import choose_sample
from cryoparts.parts.segmentation import segment_gaussians
from cryoparts.training.decode import TrainedDecoder
from cryoparts.training.setup import set_threads

if TYPE_CHECKING:
    from cryoparts.parts.part_labels import PartLabels


def parts(run: RunFolder, *, options: Parting = PartsConfig()) -> None:
    """Find the parts of the molecule: Gaussians that come, go or move together.

    Label 0 is the core, which changes least; parts are numbered by size.
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
    labels.save(run.parts_path)
    write_gaussians_cif(
        run.gaussians_cif_path, model.positions, model.amplitudes, model.widths, labels.labels
    )
    _show(labels, model)
    return labels


def _show(labels: PartLabels, model: GaussianModel) -> None:
    if labels.n_parts == 0:
        say("no part changes beyond the noise")
        return
    rows = []
    for part in range(labels.n_parts + 1):
        members = labels.members(part)
        if not members.any():
            continue
        share = model.amplitudes[members].sum() / model.amplitudes.sum()
        rows.append(
            [
                "core" if part == 0 else f"part_{part}",
                int(members.sum()),
                f"{100 * share:.1f}%",
                f"{np.mean(labels.amplitude_change[members]):.2f}",
                f"{np.mean(labels.displacement_rms_angstrom[members]):.2f} Å",
            ]
        )
    header = ["", "Gaussians", "mass", "change of amplitude", "displacement"]
    table(f"{labels.n_parts} parts", header, rows)
