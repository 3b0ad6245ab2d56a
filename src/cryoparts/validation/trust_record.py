"""Everything that speaks for or against each part, as trust/parts.csv and trust/trust.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from cryoparts.io.files import reading
from cryoparts.io.run_directory import write_json
from cryoparts.io.tables import read_json, read_rows, write_table
from cryoparts.validation.null_amplitude import is_null

if TYPE_CHECKING:
    from pathlib import Path

SUMMARY, PARTS = "trust.json", "parts.csv"
UNSTABLE = 0.5
"""Overlap below which a part is called unstable: less than half of it is found again."""


@dataclass(frozen=True)
class PartTrust:
    """One row of trust/parts.csv; NaN (an empty cell) for what has not been measured.

    Parameters
    ----------
    part : str
        "part_1".
    name : str
        What the user calls it.
    null_ratio, null_ratio_high : float
        Spread of null particles along the part's main change over that of the particles
        (see `parts.null_amplitude`), and 95% bound.
    trained_null_ratio : float
        The same for networks that were trained on null particles from scratch.
    amplitude_change, null_amplitude_change : float
    displacement_rms_angstrom, null_displacement_rms_angstrom : float
        In the measure of parts/parts.csv, on held-out particles.
    stability_subsamples, stability_seeds, stability_halves : float
        Jaccard overlap with the part found again.
    agreement_seeds, agreement_halves : float
        Correlation of what two trainings say of the part in each particle.
    amplitude_error_halves, displacement_error_halves_angstrom : float
        Root mean square difference of two half-set trainings.
    leakage : float
        Largest share of an imaging quantity's variance that the part's coordinate predicts.
    leakage_quantity : str
        Which one.
    moves_by_images : bool
        Whether the images say that it moves, asked where its change is slight.
    fades_by_images : bool
        Whether the images show it now there and now not.
    """

    part: str
    name: str
    null_ratio: float = np.nan
    null_ratio_high: float = np.nan
    trained_null_ratio: float = np.nan
    amplitude_change: float = np.nan
    null_amplitude_change: float = np.nan
    displacement_rms_angstrom: float = np.nan
    null_displacement_rms_angstrom: float = np.nan
    stability_subsamples: float = np.nan
    stability_seeds: float = np.nan
    stability_halves: float = np.nan
    agreement_seeds: float = np.nan
    agreement_halves: float = np.nan
    amplitude_error_halves: float = np.nan
    displacement_error_halves_angstrom: float = np.nan
    leakage: float = np.nan
    leakage_quantity: str = ""
    moves_by_images: bool = False
    fades_by_images: bool = False

    @property
    def flagged(self) -> bool:
        """Whether null particles show this part, by either null test that was made."""
        return any(
            is_null(
                ratio,
                self.amplitude_change,
                self.displacement_rms_angstrom,
                moves_by_images=self.moves_by_images,
                fades_by_images=self.fades_by_images,
            )
            for ratio in (self.null_ratio, self.trained_null_ratio)
        )

    @property
    def tested(self) -> bool:
        """Whether a null test was made: too few particles allow none."""
        return bool(np.isfinite([self.null_ratio, self.trained_null_ratio]).any())

    @property
    def least_stable(self) -> float:
        """The smallest of the overlaps that were measured; NaN without one."""
        known = [
            value
            for value in (self.stability_subsamples, self.stability_seeds, self.stability_halves)
            if np.isfinite(value)
        ]
        return min(known, default=np.nan)

    @property
    def unstable(self) -> bool:
        """Whether less than half of it is found again."""
        return self.least_stable < UNSTABLE

    @property
    def verdict(self) -> str:
        """What speaks against the part, in a few words; "holds" if nothing that was tested does."""
        against = ["flagged: null particles show it too"] if self.flagged else []
        if self.unstable:
            against.append("not found again")
        return "; ".join(against) or ("holds" if self.tested else "not tested by null particles")


@dataclass(frozen=True)
class TrustRecord:
    """What is known of a run's parts.

    Parameters
    ----------
    parts : tuple of PartTrust
    summary : dict
        trust.json: what was done, what was dropped, agreement over all Gaussians.
    """

    parts: tuple[PartTrust, ...]
    summary: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write parts.csv and trust.json."""
        folder.mkdir(parents=True, exist_ok=True)
        rows = [asdict(part) | {"flagged": "yes" if part.flagged else "no"} for part in self.parts]
        names = [field.name for field in fields(PartTrust)]
        names.insert(names.index("null_ratio"), "flagged")
        write_table(
            folder / PARTS, {name: np.array([_cell(row[name]) for row in rows]) for name in names}
        )
        write_json(folder / SUMMARY, self.summary)

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Read what `save` wrote; None where there is nothing.

        Raises
        ------
        InputError
            If a file is damaged.
        """
        table = folder / PARTS
        summary = read_json(folder / SUMMARY)
        if summary is None or not table.exists():
            return None
        with reading(table, "a table of trust", "Run `cryoparts trust` again."):
            return cls(tuple(_part(row) for row in read_rows(table)), summary)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if np.isfinite(value) else ""
    return str(value)


def _part(row: dict[str, str]) -> PartTrust:
    texts = ("part", "name", "leakage_quantity")
    told = ("moves_by_images", "fades_by_images")
    values: dict[str, Any] = {
        field.name: row[field.name] if field.name in texts else float(row[field.name] or "nan")
        for field in fields(PartTrust)
        if field.name not in told
    }
    values |= {name: row.get(name) == "yes" for name in told}
    return PartTrust(**values)
