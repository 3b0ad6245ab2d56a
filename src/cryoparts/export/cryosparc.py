"""Chosen particles as a cryoSPARC file, to go on with in cryoSPARC."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from cryosparc.dataset import Dataset

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically
from cryoparts.particle_files.row_identity import chosen_rows, row_names

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write_selected_cs(source: Path, names: Iterable[str], target: Path) -> None:
    """Write the rows of the chosen particles of a .cs file as another, all columns kept.

    Rows are found by uid, which is their name (``uid#1``, ``uid#2`` where several rows
    have it); cryoSPARC joins the new file to its own by uid too.

    Parameters
    ----------
    source : Path
        The .cs file.
    names : iterable of str
        uids of the rows to keep.
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
    keep = chosen_rows(row_names(uid), names, source)
    with write_atomically(target) as temporary:
        whole.mask(keep).save(str(temporary))
