"""Point groups, and particles expanded by them: every pose by every element of the group.

A molecule with the point group G looks the same after any turn g of it: the image that
it gives in the pose (R, t) is also that of the pose (R g, t). Seen so, one image shows
each subunit in turn in the place of the first. The axes go through the centre of the
box, so shifts stay.

Where the axes lie is the program's convention (RELION: Conventions in its manual and
`relion_refine --print_symmetry_ops`; cryoSPARC: its staff in the forum, topic 12482):

========  ===========================================  ==========================
group     RELION; taken for EMAN2 and cryoDRGN too     cryoSPARC
========  ===========================================  ==========================
C<n>      n-fold on z                                  the same
D<n>      n-fold on z, 2-fold on x                     n-fold on z, 2-fold on y
T         3-fold on z, 2-fold in the plane of y and z  the same
O         4-fold on x, y and z                         the same
I         as I2                                        as I2
I1        2-fold on x, y and z; 5-fold near z in yz    the same
I2        2-fold on x, y and z; 5-fold near z in xz    the same
I3        5-fold on z, 2-fold near z in xz at -x       the same
I4        I3 turned by half a turn about z             the same
========  ===========================================  ==========================

D<n>x and D<n>y name the 2-fold axis, whatever the file.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from cryoparts.conventions import Poses
from cryoparts.errors import InputError
from cryoparts.particle_files.row_identity import copy_names, in_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.particle_files.particle_table import ParticleTable

    FloatArray = NDArray[np.float64]

HIGHEST_FOLD = 100
GROUPS = "C1, C2 ... , D2, D3 ... , T, O, I (I1, I2, I3 or I4)"
OPTION = "--symmetry"
_NAME = re.compile(r"(C[1-9]\d*|D[1-9]\d*[XY]?|T|O|I[1-4]?)")
_FIVE_FOLD = float(np.rad2deg(np.arctan2(np.sqrt(5) - 1, 2)))
"""Angle of the 5-fold axis nearest to a 2-fold axis of the icosahedron, 31.7 degrees."""


def group_elements(name: str, file_format: str = "relion") -> FloatArray:
    """Rotations (n, 3, 3) of a point group, the identity first, then turns about z.

    Parameters
    ----------
    name : str
        C4, D2, T, O or I, for example; in capitals or not.
    file_format : str
        Of the particle file, whose program says where the axes lie.

    Raises
    ------
    InputError
        If it is no point group of rotations, or a helical symmetry.
    """
    known = _NAME.fullmatch(name.strip().upper())
    if known is None or int(re.sub(r"\D", "", name) or 1) > HIGHEST_FOLD:
        helical = "HEL" in name.upper() or name.upper().startswith("H")
        raise InputError(
            f"{OPTION} {name}",
            "helical symmetry is not supported" if helical else "is no point group",
            "Leave the option out and give a file that was expanded elsewhere, without the rows "
            "that leave the box."
            if helical
            else f"Give one of {GROUPS}.",
        )
    return _ordered(_rotations(known.group(), file_format))


def expanded(table: ParticleTable, name: str) -> ParticleTable:
    """Every row as often as the group has elements, in the poses R g, copies together.

    Copies are called ``name#1`` (the pose as given), ``name#2`` and so on, and share
    their image, half set and everything else.

    Raises
    ------
    InputError
        If `name` is no point group, or rows of the table share images already.
    """
    elements = group_elements(name, table.format)
    if table.image_count < len(table):
        raise InputError(
            f"{OPTION} {name}",
            f"{table.source} has {in_words(len(table), table.image_count)}: it seems to be "
            "symmetry-expanded already",
            "Leave the option out, or give the file before its expansion.",
        )
    count = len(elements)
    if count == 1:
        return table
    rows = np.repeat(np.arange(len(table)), count)
    turned = np.einsum("pij,gjk->pgik", table.poses.rotation, elements).reshape(-1, 3, 3)
    return replace(
        table.take(rows),
        names=copy_names(table.names, count),
        image_names=table.names[rows],
        poses=Poses(turned, table.poses.shift_angstrom[rows]),
    )


def _rotations(name: str, file_format: str) -> Rotation:
    kind = name[0]
    if kind == "D":
        along_y = name.endswith("Y") or (file_format == "cryosparc" and not name.endswith("X"))
        group = Rotation.create_group(name.rstrip("XY"))
        return _turned(group, Rotation.from_euler("z", 90.0 * along_y, degrees=True))
    if kind == "T":
        axes = np.array([[1, 1, 1] / np.sqrt(3), [0, 0, 1]])
        aims = np.array([[0, 0, 1], [0, np.sqrt(2 / 3), np.sqrt(1 / 3)]])
        return _turned(Rotation.create_group("T"), Rotation.align_vectors(aims, axes)[0])
    if kind == "I":
        # scipy's has the 5-fold axes near z in the plane of y and z: RELION's I1
        icosahedron = Rotation.create_group("I")
        if name == "I1":
            return icosahedron
        tilt = {"I": 0.0, "I2": 0.0, "I3": -_FIVE_FOLD, "I4": _FIVE_FOLD}[name]
        return _turned(icosahedron, Rotation.from_euler("zy", [90.0, tilt], degrees=True))
    return Rotation.create_group(name)


def _turned(group: Rotation, turn: Rotation) -> Rotation:
    """The group of the molecule after `turn`."""
    return turn * group * turn.inv()


def _ordered(group: Rotation) -> FloatArray:
    """The identity, then turns about z, so that rlnAngleRot rises from copy to copy."""
    turns = np.round(group.as_rotvec(), 6)
    about_z = ~turns[:, :2].any(axis=1)
    order = np.lexsort((np.where(about_z, -turns[:, 2] % (2 * np.pi), 0.0), ~about_z))
    matrices: FloatArray = group.as_matrix()[order]
    # entries such as 6e-17 would make a pose differ from the one in the file
    matrices[np.abs(matrices) < 1e-12] = 0.0
    return matrices
