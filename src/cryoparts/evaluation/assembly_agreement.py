"""Parts of an assembling complex against the occupancies that its maps' authors give.

The particles of the assembly benchmark show 20 maps of the ribosome's large
subunit on its way; a table says how much of each protein every map holds. A part
that was found is compared with the proteins inside it, map by map, and every
requirement of the assembly graph with what the table allows.
"""

from __future__ import annotations

import csv
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.errors import InputError
from cryoparts.inference.calibration import PRESENT_ABOVE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

FULL_QUANTILE = 0.9
"""A protein is fully there at this quantile of its values over the maps."""

LABELS = ("PDB", "Chain")


@dataclass(frozen=True)
class ProteinOccupancies:
    """How much of each protein each map holds.

    Parameters
    ----------
    maps : tuple of str, length M
        Numbers of the maps, "388" for vol_388.mrc.
    proteins : tuple of str, length Q
        "prots1_A" for chain a of the first file.
    values : array, shape (M, Q)
        As a share of the full value, 0 to 1.
    """

    maps: tuple[str, ...]
    proteins: tuple[str, ...]
    values: FloatArray


def read_protein_occupancies(path: Path) -> ProteinOccupancies:
    """Read a table whose two first rows name file and chain of each column.

    Raises
    ------
    InputError
        If the table is not of that form.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row]
        if tuple(row[0] for row in rows[:2]) != LABELS or len(rows) < 3:
            raise ValueError(f"its first column should start with {', '.join(LABELS)}")
        proteins = tuple(f"{a}_{b.upper()}" for a, b in zip(rows[0][1:], rows[1][1:], strict=True))
        raw = np.array([[float(cell) for cell in row[1:]] for row in rows[2:]])
        if raw.shape[1] != len(proteins):
            raise ValueError("rows differ in length")
    except (OSError, ValueError, IndexError) as fault:
        raise InputError(
            str(path), f"is no table of occupancies: {fault}", "Give protein_occupancies.csv."
        ) from fault
    full = np.maximum(np.quantile(raw, FULL_QUANTILE, axis=0), 1e-12)
    return ProteinOccupancies(
        maps=tuple(row[0].strip() for row in rows[2:]),
        proteins=proteins,
        values=np.clip(raw / full, 0.0, 1.0),
    )


@dataclass(frozen=True)
class PartProfile:
    """One part over the maps.

    Parameters
    ----------
    part : str
    proteins : tuple of str
        What it was compared with: those of its chains, or the best fitting one.
    correlation : float
        Of its presence and the proteins' mean occupancy over the maps.
    agreement : float
        Share of the maps in which both say present or both absent.
    """

    part: str
    proteins: tuple[str, ...]
    correlation: float
    agreement: float


@dataclass(frozen=True)
class AssemblyAgreement:
    """Parts and their order against the table.

    Parameters
    ----------
    parts : tuple of PartProfile
    mean_correlation : float
        NaN without parts.
    requirements : int
        Of the assembly graph, between compared parts.
    upheld : int
        Those that no map of the table breaks by more than a tenth of the
        particles with the later part.
    """

    parts: tuple[PartProfile, ...]
    mean_correlation: float
    requirements: int
    upheld: int

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return asdict(self)


def assembly_agreement(
    presence: Mapping[str, ArrayLike],
    map_index: ArrayLike,
    map_names: Sequence[str],
    occupancies: ProteinOccupancies,
    *,
    chains: Mapping[str, Sequence[str]] | None = None,
    requirements: Sequence[tuple[str, str]] = (),
) -> AssemblyAgreement:
    """Compare parts' presence with the proteins' occupancies.

    Parameters
    ----------
    presence : mapping of part to array (P,)
        Probability of presence of each particle.
    map_index : int array, shape (P,)
        The map that each particle shows.
    map_names : sequence of str
        Files of the maps, "vol_388.mrc".
    occupancies : ProteinOccupancies
    chains : mapping of part to chains, optional
        Chains of the structure in each part ("prots1_A"); parts without any
        protein of the table, and all parts where this is not given, are compared
        with the protein that fits best (which flatters them).
    requirements : sequence of (earlier, later)

    Raises
    ------
    InputError
        If a map is not in the table.
    """
    index = np.asarray(map_index, dtype=np.int64)
    shown = np.unique(index)
    rows = _rows(occupancies, [map_names[i] for i in shown])
    reference = occupancies.values[rows]
    weights = np.array([(index == i).mean() for i in shown])
    profiles, expected = [], {}
    for part, values in presence.items():
        p = np.asarray(values, dtype=np.float64)
        found = np.array([p[index == i].mean() for i in shown])
        own = [c for c in (chains or {}).get(part, ()) if c in occupancies.proteins]
        columns = [occupancies.proteins.index(c) for c in own]
        if not columns:
            fits = [_correlation(found, column) for column in reference.T]
            columns = [int(np.argmax(fits))]
        expected[part] = reference[:, columns].mean(axis=1)
        agree = (found > PRESENT_ABOVE) == (expected[part] > PRESENT_ABOVE)
        profiles.append(
            PartProfile(
                part,
                tuple(occupancies.proteins[c] for c in columns),
                _correlation(found, expected[part]),
                float(agree.mean()),
            )
        )
    judged = [(a, b) for a, b in requirements if a in expected and b in expected]
    return AssemblyAgreement(
        parts=tuple(profiles),
        mean_correlation=(
            float(np.mean([p.correlation for p in profiles])) if profiles else float("nan")
        ),
        requirements=len(judged),
        upheld=sum(_upheld(expected[a], expected[b], weights) for a, b in judged),
    )


def _rows(occupancies: ProteinOccupancies, names: Sequence[str]) -> list[int]:
    row_of = {name.lstrip("0"): row for row, name in enumerate(occupancies.maps)}
    rows = []
    for name in names:
        number = re.search(r"(\d+)\D*$", name.removesuffix(".mrc"))
        key = number[1].lstrip("0") if number else name
        if key not in row_of:
            raise InputError(
                "the occupancies",
                f"have no row for the map {name!r}",
                f"There are {', '.join(occupancies.maps)}.",
            )
        rows.append(row_of[key])
    return rows


def _upheld(earlier: FloatArray, later: FloatArray, weights: FloatArray) -> bool:
    has_later = weights * (later > PRESENT_ABOVE)
    breaking = has_later * (earlier <= PRESENT_ABOVE)
    return bool(breaking.sum() <= 0.1 * has_later.sum())


def _correlation(a: FloatArray, b: FloatArray) -> float:
    if not np.ptp(a) or not np.ptp(b):
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
