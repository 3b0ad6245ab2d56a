"""Optics groups beyond the first, as the user writes them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.conventions import CtfParameters
from cryoparts.errors import InputError
from cryoparts.simulation.acquisition import draw_ctf

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryoparts.conventions import IntArray
    from cryoparts.simulation.options import ImagingOptions

OPTION = "--optics-groups"
KEYS = ("voltage_kv", "spherical_aberration_mm", "amplitude_contrast")


@dataclass(frozen=True)
class OpticsGroup:
    """A share of the particles and the microscope that imaged them."""

    share: float
    imaging: ImagingOptions


def read_optics_groups(texts: Sequence[str], first: ImagingOptions) -> tuple[OpticsGroup, ...]:
    """Read "share=0.3,voltage_kv=200,defocus=5000:12000".

    Raises
    ------
    InputError
        If a text is malformed, a value impossible, or no particle is left to the first group.
    """
    groups = tuple(_group(text, first) for text in texts)
    if sum(group.share for group in groups) >= 1.0:
        raise InputError(
            OPTION, "the shares leave nothing to the first group", "Give smaller ones."
        )
    return groups


def _group(text: str, first: ImagingOptions) -> OpticsGroup:
    where = f"{OPTION} {text!r}"
    cure = f"Write share=0.3 and of {', '.join(KEYS)}, defocus=LOW:HIGH what differs."
    pairs = [pair.partition("=") for pair in text.split(",")]
    values = {name.strip(): value.strip() for name, _, value in pairs}
    unknown = sorted(set(values) - {"share", "defocus", *KEYS})
    if unknown or "share" not in values:
        problem = f"unknown key {unknown[0]!r}" if unknown else "no share is given"
        raise InputError(where, problem, cure)
    try:
        share = float(values.pop("share"))
        changed: dict[str, float | tuple[float, ...]] = {}
        if "defocus" in values:
            low, high = (float(part) for part in values.pop("defocus").split(":"))
            changed["defocus_range_angstrom"] = (low, high)
        changed |= {name: float(value) for name, value in values.items()}
    except ValueError as fault:
        raise InputError(where, "holds something that is no number", cure) from fault
    if not 0.0 < share < 1.0:
        raise InputError(where, f"the share must be between 0 and 1, got {share:g}", cure)
    try:
        return OpticsGroup(share, replace(first, **changed))  # type: ignore[arg-type]
    except InputError as fault:
        raise InputError(where, fault.problem, cure) from fault


def in_groups(
    ctf: CtfParameters, groups: Sequence[OpticsGroup], rng: np.random.Generator
) -> tuple[CtfParameters, IntArray]:
    """Deal the particles to the groups and draw the CTFs of the further ones anew.

    Returns
    -------
    ctf : CtfParameters
    group : int array, shape (P,)
        1 for the first.
    """
    edges = np.cumsum([group.share for group in groups])
    place = np.searchsorted(edges, rng.random(len(ctf)), side="right")
    number: IntArray = np.where(place < len(groups), place + 2, 1).astype(np.int64)
    arrays = {f.name: getattr(ctf, f.name).copy() for f in fields(CtfParameters)}
    for index, group in enumerate(groups):
        drawn, rows = draw_ctf(group.imaging, rng), np.flatnonzero(number == index + 2)
        for name, values in arrays.items():
            values[rows] = getattr(drawn, name)[rows]
    return replace(ctf, **arrays), number
