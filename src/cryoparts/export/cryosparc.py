"""Chosen particles as a cryoSPARC file, to go on with in cryoSPARC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from cryosparc.dataset import Dataset

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write_selected_cs(source: Path, names: Iterable[str], target: Path) -> None:
    """Write the rows of the chosen particles of a .cs file as another, all columns kept.

    Particles are found by uid, which is their name; cryoSPARC joins the new file
    to its own by uid too.

    Parameters
    ----------
    source : Path
        The .cs file.
    names : iterable of str
        uids of the particles to keep.
    target : Path
        The new file.

    Raises
    ------
    InputError
        If the source is no .cs file or has moved, or one of the particles is not in
        it; then nothing is written.
    """
    cure = "Give the file that the run was made from."
    try:
        whole = Dataset.load(str(source))
        uid = np.asarray(whole["uid"]).astype(np.str_)
    except Exception as fault:  # the library raises many kinds, some of its own
        raise InputError(str(source), f"not a cryoSPARC file: {fault}", cure) from fault
    wanted = np.unique(np.array(list(names), dtype=np.str_))
    missing = wanted[~np.isin(wanted, uid)]
    if len(missing):
        raise InputError(
            str(source),
            f"lacks {len(missing)} of the {len(wanted)} particles, {missing[0]} for one",
            cure,
        )
    with write_atomically(target) as temporary:
        whole.mask(np.isin(uid, wanted)).save(str(temporary))
