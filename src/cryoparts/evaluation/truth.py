"""Reading what a simulation stored, and joining it to a run by particle name."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from cryoparts.errors import InputError
from cryoparts.io.names import rows_of_names
from cryoparts.simulation.ground_truth import (
    COUPLINGS,
    NUISANCE_PREFIX,
    NUISANCES,
    TRUTH_FILE,
    BothTruth,
    CompositionTruth,
    MapsTruth,
    MotionTruth,
    NuisanceTruth,
    Truth,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

KINDS: dict[str, type[Truth]] = {
    kind.kind: kind for kind in (CompositionTruth, MotionTruth, BothTruth, MapsTruth)
}
PER_PARTICLE = ("names", "presence", "angles_degrees", "map_index")
SCALARS: dict[str, type] = {"seed": int, "image_scale": float, "contrast": str, "core": int}

AnyTruth = TypeVar("AnyTruth", bound=Truth)


def load_truth(path: Path) -> CompositionTruth | MotionTruth | MapsTruth:
    """Read truth.npz, given itself or the folder of the simulated data set.

    Raises
    ------
    InputError
        If there is no such file or it is not what `cryoparts simulate` writes.
    """
    file = path / TRUTH_FILE if path.is_dir() else path
    cure = "Give the truth.npz that `cryoparts simulate` wrote, or its folder."
    try:
        with np.load(file, allow_pickle=False) as stored:
            kind = KINDS[str(stored["kind"])]
            values: dict[str, Any] = {
                f.name: stored[f.name]
                for f in fields(kind)
                if f.name != NUISANCES and (f.name != COUPLINGS or COUPLINGS in stored)
            }
            if any(name.startswith(NUISANCE_PREFIX) for name in stored):
                wrong = {f.name: stored[NUISANCE_PREFIX + f.name] for f in fields(NuisanceTruth)}
                values[NUISANCES] = NuisanceTruth(**wrong)
    except FileNotFoundError as fault:
        raise InputError(str(file), "there is no such file", cure) from fault
    except (OSError, KeyError, ValueError) as fault:
        raise InputError(str(file), f"holds no ground truth: {fault}", cure) from fault
    for name, convert in SCALARS.items():
        if name in values:
            values[name] = convert(values[name])
    truth = kind(**values)
    assert isinstance(truth, CompositionTruth | MotionTruth | MapsTruth)
    return truth


def align_truth(truth: AnyTruth, names: ArrayLike, where: str = "the run") -> AnyTruth:
    """The truth of the particles `names`, in their order.

    Parameters
    ----------
    truth : Truth
    names : str array, shape (P,)
        The particles of a run, all of which must be among the truth's.
    where : str
        The run, for the message.

    Raises
    ------
    InputError
        If a name is unknown to the truth or occurs twice in it.
    """
    rows = rows_of(truth.names, names, where)
    present = {f.name for f in fields(truth)}
    taken: dict[str, Any] = {
        name: getattr(truth, name)[rows] for name in PER_PARTICLE if name in present
    }
    wrong = truth.nuisances
    return replace(truth, **taken, nuisances=None if wrong is None else wrong.take(rows))


def rows_of(known: ArrayLike, wanted: ArrayLike, where: str = "the run") -> NDArray[np.int64]:
    """Row of `known` that holds each name of `wanted`.

    Raises
    ------
    InputError
        If a name is missing from `known` or occurs twice in it.
    """
    return rows_of_names(
        known,
        wanted,
        where,
        container="the ground truth",
        cure="Give the truth.npz of the data set that the run was made of.",
    )
