"""A whole run against the ground truth of its simulation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import adjusted_rand_score

from cryoparts.errors import InputError
from cryoparts.evaluation.composition_evaluation import evaluate_composition
from cryoparts.evaluation.motion_evaluation import evaluate_motion
from cryoparts.evaluation.pose_accuracy import PoseErrors
from cryoparts.evaluation.run_results import RunResults
from cryoparts.evaluation.truth import align_truth, load_truth
from cryoparts.inference.decode import TrainedDecoder
from cryoparts.parts.part_labels import PartLabels
from cryoparts.simulation.ground_truth import BothTruth, CompositionTruth, MotionTruth

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.particles.prepared import PreparedParticles
    from cryoparts.simulation.ground_truth import MapsTruth, Truth

    Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class RunEvaluation:
    """What a run got right.

    Parameters
    ----------
    headline : dict of str to str
        The main numbers, in words.
    details : dict
        Every number, for evaluation.json; the headline too.
    """

    headline: dict[str, str]
    details: dict[str, Any]


def evaluate_run(
    run: RunDirectory, truth_path: Path, *, oracle: bool, progress: Progress | None = None
) -> RunEvaluation:
    """Compare everything a run folder holds with the truth, over the good particles.

    Images that are junk, and particles whose given poses are lost, do not count.

    Parameters
    ----------
    run : RunDirectory
        Trained; its parts and states are compared where they have been found.
    truth_path : Path
        truth.npz, or the folder it is in.
    oracle : bool
        Also solve with the true segments told (where segments come and go only).
    progress : callable or None
        Told the particles that the oracle has done, and all particles.

    Raises
    ------
    InputError
        If the truth is unreadable or of other particles.
    """
    run.require_latents()
    trained = TrainedDecoder(run)
    _require_images(trained.particles, run)
    truth = align_truth(load_truth(truth_path), trained.particles.names, str(run.root))
    results = RunResults(run, trained, truth.good)
    headline: dict[str, str] = {}
    details: dict[str, Any] = {"kind": truth.kind}
    if not truth.good.all():
        good, every = int(truth.good.sum()), len(truth.good)
        headline["good particles, which alone count"] = f"{good} of {every}"
        details["particles"] = {"good": good, "all": every}
    poses = _poses(trained.particles, truth)
    if poses:
        headline["poses off by, as given and as refined"] = f"{poses['given']}; {poses['used']}"
        details["poses"] = {name: errors.as_dict() for name, errors in poses.items()}
    if isinstance(truth, CompositionTruth):
        judged = evaluate_composition(results, truth, oracle=oracle, progress=progress)
        headline |= judged[0]
        details |= judged[1]
    if isinstance(truth, BothTruth):
        turned = evaluate_motion(results, truth.motion, truth.presence[:, truth.moving])
        # parts are compared with all segments, not with those that turn alone
        headline = turned[0] | headline
        details = turned[1] | details
    elif isinstance(truth, MotionTruth):
        turned = evaluate_motion(results, truth)
        headline |= turned[0]
        details |= turned[1]
    elif not isinstance(truth, CompositionTruth):
        states = _maps(results, truth)
        headline |= states[0]
        details |= states[1]
    return RunEvaluation(headline, details)


def _maps(results: RunResults, truth: MapsTruth) -> tuple[dict[str, str], dict[str, Any]]:
    states: dict[str, Any] = {}
    headline = {}
    run = results.run
    parts = PartLabels.load(run.parts_path).n_parts if run.parts_path.exists() else 0
    for part in range(1, parts + 1):
        focused = results.focused(part)
        if focused is not None:
            own = focused.states[results.good]
            score = float(adjusted_rand_score(truth.map_index[results.good], own))
            states[f"part_{part}"] = {"adjusted_rand_index": score}
            headline[f"states of part_{part} and maps, adjusted Rand index"] = f"{score:.3f}"
    return headline or {"parts": "none found"}, {"states": states}


def _poses(particles: PreparedParticles, truth: Truth) -> dict[str, PoseErrors]:
    """Errors of the good particles' poses; nothing where they were right and have stayed so."""
    if truth.nuisances is None:
        return {}
    good = np.flatnonzero(truth.good)
    true = truth.nuisances.take(good)
    given, used = particles.with_given_poses().poses, particles.poses
    found = {
        "given": PoseErrors.of(given.take(good), true),
        "used": PoseErrors.of(used.take(good), true),
    }
    return found if any(errors.are_wrong for errors in found.values()) else {}


def _require_images(particles: PreparedParticles, run: RunDirectory) -> None:
    """Refuse rows that are copies of images: the truth knows each image once, as it lies.

    In a row that is turned by an element of a group, another subunit stands at the place of the
    first; which segment of the truth a Gaussian is then in depends on the row.
    """
    if particles.image_names is not None:
        raise InputError(
            str(run.root),
            f"its {len(particles)} rows are copies of {particles.image_count} images (symmetry), "
            "each with another subunit at one place; the truth knows every image once",
            "Evaluate a run of the same particles without --symmetry; rows of this one are joined "
            "to truth.npz by the column `image` of `cryoparts columns`.",
        )
