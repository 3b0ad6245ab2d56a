"""Find the parts of a run: Gaussians that come, go or move together."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.structure import write_gaussians_cif
from cryoparts.parts.edit_history import (
    RECORD,
    Downstream,
    read_edits,
    replaced_parts,
    same_parts,
)
from cryoparts.parts.part_chains import atoms_of_run
from cryoparts.parts.part_description import (
    PartDescription,
    describe_parts,
    read_stability,
    write_description,
)
from cryoparts.parts.part_kinds import measure_part_changes
from cryoparts.parts.segmentation import segment_decoded
from cryoparts.pipeline.composition import ask_presence
from cryoparts.pipeline.divided_parts import with_parts_divided
from cryoparts.pipeline.faint_parts import with_faint_parts
from cryoparts.pipeline.motion import PartsByImages, ask_images
from cryoparts.pipeline.progress import Progress, counting, silent
from cryoparts.run.result_options import keep_options
from cryoparts.statistics.trusted import choose_sample
from cryoparts.validation.null_judgement import NULL_TEST, NullTest, null_test

if TYPE_CHECKING:
    from cryoparts.config import PartsConfig
    from cryoparts.parts.part_chains import Atoms
    from cryoparts.parts.part_labels import PartLabels
    from cryoparts.run.run import Run

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class PartsFound:
    """The parts of a run, described.

    Parameters
    ----------
    labels : PartLabels
        Part of every Gaussian; 0 is the core.
    described : tuple of PartDescription
        The core and every part.
    null_test : NullTest or None
        What null particles say; None where flagged parts were kept or there was too little
        to judge by.
    groups : int
        Groups of Gaussians that null particles were asked of.
    unconfirmed : tuple of int
        Gaussians of each small group that fades by the networks, but not in the images.
    forgotten : tuple of str
        Edits by hand of the parts that were there before.
    downstream : Downstream or None
        Results of earlier parts that went out of date; None where there were none.
    """

    labels: PartLabels
    described: tuple[PartDescription, ...]
    null_test: NullTest | None
    groups: int
    unconfirmed: tuple[int, ...] = ()
    forgotten: tuple[str, ...] = ()
    downstream: Downstream | None = None


def find_parts(run: Run, options: PartsConfig, progress: Progress = silent) -> PartsFound:
    """Label the Gaussians of a trained run; write parts/ and colour gaussians.cif.

    Parameters
    ----------
    run : Run
        Trained.
    options : PartsConfig
        Kept beside the result, in parts/options.json.
    progress : callable
        Told what is being done.
    """
    seed = run.training.seed
    progress("parts: decoding a sample", 0, 0)
    decoded = run.decoder.decode(
        choose_sample(len(run.particles), options.sample, seed, run.particle_weights)
    )
    progress("parts: grouping the Gaussians", 0, 0)
    found = segment_decoded(
        run.model.positions,
        decoded,
        method=options.embedding,
        min_part_size=options.min_part_size,
        seed=seed,
    )
    found = with_faint_parts(run, found, decoded, options.min_part_size, progress)
    found = with_parts_divided(run, found, decoded, options.min_part_size, progress)
    asked = ask_images(run, found, progress)
    progress("parts: their borders", 0, 0)
    asked, unconfirmed = ask_presence(run, asked, drop=not options.keep_flagged)
    tested, labels = None, asked.labels
    if not options.keep_flagged:
        progress("parts: null particles", 0, 0)
        tested, labels = _without_flagged(run, asked, progress)
    forgotten, downstream = _put_in_place(run, labels, options)
    if tested is not None:
        tested.save(run.directory.trust_path)
    progress("parts: describing them", 0, 0)
    described = _describe(run, labels, decoded.relative_scalars, decoded.displacements)
    groups = asked.labels.n_parts
    return PartsFound(labels, described, tested, groups, unconfirmed, forgotten, downstream)


def describe_run_parts(run: Run) -> PartsFound:
    """Describe the parts as they are now, after an edit, from a sample of the particles."""
    sample = choose_sample(
        len(run.particles), run.parts_options.sample, run.training.seed, run.particle_weights
    )
    decoded = run.decoder.decode(sample)
    labels = run.parts
    described = _describe(run, labels, decoded.relative_scalars, decoded.displacements)
    return PartsFound(labels, described, None, labels.n_parts)


def _without_flagged(
    run: Run, asked: PartsByImages, progress: Progress
) -> tuple[NullTest | None, PartLabels]:
    """The parts without those that null particles show as well."""
    tested, kept = null_test(
        run,
        asked.labels,
        drop=True,
        moving=asked.moving,
        fading=asked.fading,
        progress=counting(progress, "parts: null particles"),
    )
    if tested is None and asked.labels.n_parts:
        LOG.warning("too few particles to tell parts from noise by null particles")
    return tested, kept


def _put_in_place(
    run: Run, labels: PartLabels, options: PartsConfig
) -> tuple[tuple[str, ...], Downstream | None]:
    """Save the parts; results of those that were found before do not hold for others."""
    before = run.parts if run.has_parts else None
    folder = run.directory.parts_path
    forgotten = () if before is None else tuple(str(edit["edit"]) for edit in read_edits(folder))
    if before is not None and len(before) != len(labels):
        before = None
    (run.directory.trust_path / NULL_TEST).unlink(missing_ok=True)
    same = {} if before is None else same_parts(before.labels, labels.labels)
    with replaced_parts(run.directory, before, labels, same, RECORD) as (new, told):
        keep_options(new, options)
    unchanged = before is None or np.array_equal(before.labels, labels.labels)
    return forgotten, None if unchanged else told


def _describe(
    run: Run,
    labels: PartLabels,
    scalars: np.ndarray[tuple[int, ...], np.dtype[np.floating]] | None,
    displacements: np.ndarray[tuple[int, ...], np.dtype[np.floating]] | None,
) -> tuple[PartDescription, ...]:
    model, folder = run.model, run.directory
    write_gaussians_cif(
        folder.gaussians_cif_path, model.positions, model.amplitudes, model.widths, labels.labels
    )
    changes = measure_part_changes(model, labels, scalars, displacements)
    described = describe_parts(model, labels, changes, _atoms(run))
    write_description(folder.parts_path, described, read_stability(folder.trust_path))
    return tuple(described)


def _atoms(run: Run) -> Atoms | None:
    """The run's atoms; a structure that is gone costs the chains, not the parts."""
    try:
        return atoms_of_run(run.directory, run.model)
    except InputError as fault:
        LOG.warning("chains and residues of the parts are not known: %s", fault)
        return None
