"""Beam tilt, higher aberrations and anisotropic magnification in RELION's and cryoSPARC's terms.

RELION (``src/jaz/single_particle/obs_model.cpp``, ``tilt_helper.cpp``): Zernike
coefficients as ours; a beam tilt T (``rlnBeamTiltX/Y``, mrad) is the odd phase
``-2 pi Cs lambda^2 |k|^2 (k . T)`` and takes the place of the coefficients Z3-1, Z31;
``rlnMagMat`` is M of `cryoparts.imaging.magnification`.

cryoSPARC writes lengths: ``ctf/tilt_A`` (Cs times the tilt, t), ``ctf/trefoil_A`` (f) and
``ctf/tetra_A`` (q), whose phases are terms of the wave aberration function,

    odd  =  2 pi lambda^2 |k|^2 (k . t) + 2 pi / 3 lambda^2 |k|^3 (f0 cos 3 theta + f1 sin 3 theta)
    even =  2 pi lambda^3 |k|^4 (q0 cos 2 theta + q1 sin 2 theta)
            + pi / 2 lambda^3 |k|^4 (q2 cos 4 theta + q3 sin 4 theta)

and ``ctf/anisomag`` is M less the unit matrix, in rows. It publishes no formula: these
are what others found in comparing with its simulator; `cryoparts check` also compares
the particles with the odd phases reversed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from cryoparts.conventions import Aberrations
from cryoparts.errors import InputError
from cryoparts.imaging.ctf import electron_wavelength

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

TILT = ("rlnBeamTiltX", "rlnBeamTiltY")
ODD, EVEN = "rlnOddZernike", "rlnEvenZernike"
MAGNIFICATION = ("rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11")
RELION_COLUMNS = (*TILT, ODD, EVEN, *MAGNIFICATION)
CRYOSPARC_LENGTHS = {"ctf/tilt_A": 2, "ctf/trefoil_A": 2, "ctf/tetra_A": 4}
CRYOSPARC_MAGNIFICATION = "ctf/anisomag"
CRYOSPARC_SHIFT = "ctf/shift_A"

EVEN_TERMS = 9
SAME = 1e-7
"""Elements of a magnification matrix nearer than this to the unit matrix's are the same."""
FARTHEST = 0.3
"""No microscope's magnification differs more from isotropy."""


def relion_aberrations(
    path: Path, table: Mapping[Any, pd.Series[Any]], ctf: Mapping[str, FloatArray]
) -> Aberrations | None:
    """Aberrations of P rows that carry their optics groups' columns; None if all are 0.

    Parameters
    ----------
    path : Path
        The file, for messages.
    table : mapping of columns
        By RELION's names.
    ctf : mapping
        Has ``voltage_kv`` and ``spherical_aberration_mm`` where the file gives them.

    Raises
    ------
    InputError
        If a value is not a number or a list of numbers.
    """
    present = [c for c in (*TILT, ODD, EVEN) if c in table]
    if not present:
        return None
    frame = pd.DataFrame({c: table[c].to_numpy() for c in present})
    if any(c in table for c in TILT):
        for name in ("voltage_kv", "spherical_aberration_mm"):
            frame[name] = ctf.get(name, np.nan)
    member = frame.groupby(list(frame.columns), sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(member, return_index=True)[1]
    odd = [_relion_odd(path, frame.iloc[row], int(row)) for row in first]
    even = [_list(path, frame.iloc[row].get(EVEN, ""), EVEN, int(row)) for row in first]
    return _aberrations(odd, even, member)


def relion_magnification(
    path: Path, table: Mapping[Any, pd.Series[Any]], notes: list[str]
) -> FloatArray | None:
    """Matrices (P, 2, 2) of P rows; None if all are the unit matrix."""
    present = [c for c in MAGNIFICATION if c in table]
    if not present:
        return None
    columns = {"rlnMagMat00": 1.0, "rlnMagMat01": 0.0, "rlnMagMat10": 0.0, "rlnMagMat11": 1.0}
    count = len(table[present[0]])
    values = np.stack(
        [
            _numbers(path, c, table[c]) if c in table else np.full(count, fallback)
            for c, fallback in columns.items()
        ],
        axis=1,
    )
    diagonal = values[:, [0, 3]]
    if len(present) == 4 and (np.abs(diagonal) < FARTHEST).all():
        notes.append(
            "rlnMagMat00 and rlnMagMat11 are near 0: taken for cryoSPARC's matrix, "
            "from which the unit matrix is subtracted"
        )
        values = values + np.array([1.0, 0.0, 0.0, 1.0])
    return _magnification(values.reshape(-1, 2, 2), f"{path}, columns rlnMagMat")


def cryosparc_aberrations(columns: Mapping[str, NDArray[Any]]) -> Aberrations | None:
    """Aberrations of the P rows of a .cs file; None if all are 0."""
    given = {c: width for c, width in CRYOSPARC_LENGTHS.items() if c in columns}
    if "ctf/accel_kv" not in columns or not any(np.any(columns[c]) for c in given):
        return None
    voltage = np.asarray(columns["ctf/accel_kv"], dtype=np.float64)
    lengths = [
        np.asarray(columns[c], dtype=np.float64).reshape(len(voltage), width)
        if c in given
        else np.zeros((len(voltage), width))
        for c, width in CRYOSPARC_LENGTHS.items()
    ]
    whole = np.concatenate([voltage[:, None], *lengths], axis=1)
    groups, member = np.unique(whole, axis=0, return_inverse=True)
    wavelength = _wavelength(groups[:, 0])
    coma = 2 * np.pi * wavelength[:, None] ** 2 * groups[:, 1:3]
    trefoil = 2 * np.pi / 3 * wavelength[:, None] ** 2 * groups[:, 3:5]
    star = 2 * np.pi * wavelength[:, None] ** 3 * groups[:, 5:7]
    four = np.pi / 2 * wavelength[:, None] ** 3 * groups[:, 7:9]
    odd = np.zeros((len(groups), 6))
    # |k|^2 kx = (Z31 + 2 Z11) / 3, and with ky Z3-1 and Z1-1
    odd[:, [1, 0]], odd[:, [4, 3]] = 2 / 3 * coma, coma / 3
    odd[:, [5, 2]] = trefoil
    even = np.zeros((len(groups), EVEN_TERMS))
    # |k|^4 cos 2 theta = (Z42 + 3 Z22) / 4
    even[:, [3, 1]], even[:, [7, 5]] = 3 / 4 * star, star / 4
    even[:, [8, 4]] = four
    return Aberrations(odd, even, member.reshape(-1))


def cryosparc_magnification(path: Path, columns: Mapping[str, NDArray[Any]]) -> FloatArray | None:
    """Matrices (P, 2, 2) of the P rows of a .cs file; None if all are the unit matrix."""
    if CRYOSPARC_MAGNIFICATION not in columns:
        return None
    values = np.asarray(columns[CRYOSPARC_MAGNIFICATION], dtype=np.float64).reshape(-1, 2, 2)
    return _magnification(values + np.eye(2), f"{path}, column {CRYOSPARC_MAGNIFICATION}")


def cryosparc_notes(columns: Mapping[str, NDArray[Any]]) -> list[str]:
    """What of the optics is in the file and not modelled."""
    shift = columns.get(CRYOSPARC_SHIFT)
    if shift is None or not np.abs(shift).max(initial=0.0) > 1e-3:
        return []
    return [
        f"image shift of the optics ({CRYOSPARC_SHIFT}, up to {np.abs(shift).max():.2g} Å) is in "
        "the file and not modelled"
    ]


def _relion_odd(path: Path, row: pd.Series[Any], number: int) -> list[float]:
    """Odd coefficients with the beam tilt in them, as RELION's ``insertTilt``."""
    coefficients = _list(path, row.get(ODD, ""), ODD, number)
    tilt = [float(_numbers(path, c, row[[c]])[0]) if c in row else 0.0 for c in TILT]
    if not any(tilt):
        return coefficients
    coefficients += [0.0] * (6 - len(coefficients))
    wavelength = float(_wavelength(np.array([row["voltage_kv"]], dtype=np.float64))[0])
    # mm to Å, mrad to radians
    scale = 2 * np.pi * 1e4 * float(row["spherical_aberration_mm"]) * wavelength**2
    for t, first, third in zip(tilt, (1, 0), (4, 3), strict=True):
        coefficients[third] = -scale * t / 3
        coefficients[first] += -2 * scale * t / 3
    return coefficients


def _aberrations(
    odd: list[list[float]], even: list[list[float]], member: NDArray[np.int64]
) -> Aberrations | None:
    if not any(any(c) for c in (*odd, *even)):
        return None

    def table(lists: list[list[float]]) -> FloatArray:
        out = np.zeros((len(lists), max(1, *(len(c) for c in lists))))
        for place, values in zip(out, lists, strict=True):
            place[: len(values)] = values
        return out

    return Aberrations(table(odd), table(even), member.astype(np.int64))


def _magnification(matrices: FloatArray, where: str) -> FloatArray | None:
    away = np.abs(matrices - np.eye(2)).max(axis=(1, 2), initial=0.0)
    if not np.isfinite(away).all() or (away > FARTHEST).any():
        row = int(np.flatnonzero(~(away <= FARTHEST))[0])
        raise InputError(
            where,
            "the magnification matrix must be near the unit matrix, in row "
            f"{row + 1} it is {matrices[row].round(4).tolist()}",
            "Correct the optics table, or take these columns out of it.",
        )
    return None if (away < SAME).all() else matrices


def _list(path: Path, text: Any, column: str, row: int) -> list[float]:
    """Numbers of ``[1.0,2.0]``; nothing of an empty list or value."""
    words = str(text).strip().strip("[]").replace(",", " ").split()
    if str(text) in ("nan", "None", "<NA>"):
        return []
    try:
        values = [float(word) for word in words]
        if not np.isfinite(values).all():
            raise ValueError("it is not finite")
    except ValueError as fault:
        raise InputError(
            f"{path}, row {row + 1}, column {column}",
            f"must be a list of numbers such as [0.1,0.2], it is {str(text)!r}",
            "Correct the file, or take the column out of it.",
        ) from fault
    return values


def _numbers(path: Path, column: str, values: pd.Series[Any]) -> FloatArray:
    try:
        return np.asarray(values.to_numpy(dtype=np.float64))
    except ValueError as fault:
        raise InputError(
            f"{path}, column {column}", f"must hold numbers: {fault}", "Correct the file."
        ) from fault


def _wavelength(voltage_kv: FloatArray) -> FloatArray:
    wavelength: FloatArray = electron_wavelength(torch.from_numpy(voltage_kv)).numpy()
    return wavelength
