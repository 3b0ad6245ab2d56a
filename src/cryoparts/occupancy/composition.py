"""Composition of the particles: which parts are there, how often, and how sure that is."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from cryoparts.io.atomic import write_text
from cryoparts.io.files import reading
from cryoparts.io.tables import load_array, read_rows, read_table, save_array, write_table
from cryoparts.occupancy.image_amplitudes import ImageAmplitudes
from cryoparts.occupancy.presence import Presence, fit_presence
from cryoparts.occupancy.together import judged_together

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

NUMBERS = (
    "occupancy",
    "low",
    "high",
    "level_absent",
    "level_present",
    "spread_absent",
    "spread_present",
    "separation",
    "bic_gain",
)
CURE = "Make it again with `cryoparts composition`."


@dataclass(frozen=True)
class Composition:
    """Presence of K parts in P particles.

    Parameters
    ----------
    measured : ImageAmplitudes
        What it was judged by.
    part_names : tuple of str, length K
        What the user calls the parts.
    parts : tuple of Presence, length K
        Part 1 first.
    """

    measured: ImageAmplitudes
    part_names: tuple[str, ...]
    parts: tuple[Presence, ...]

    def __post_init__(self) -> None:
        if not len(self.parts) == len(self.part_names) == self.measured.amplitude.shape[1]:
            raise ValueError("amplitudes, names and parts must be as many")

    @property
    def names(self) -> NDArray[np.str_]:
        """Names (P,) of the particles."""
        return self.measured.names

    @property
    def optional(self) -> list[int]:
        """Numbers of the parts that are there in some particles and absent in others.

        Not those that are absent as rarely as particles are broken.
        """
        return [
            k
            for k, part in enumerate(self.parts, start=1)
            if part.is_optional and not part.is_rarely_absent
        ]

    @property
    def probability(self) -> FloatArray:
        """Probability of presence (P, K); NaN for what is not a present/absent part."""
        return np.stack([part.probability for part in self.parts], axis=1)

    def of_particles(self, rows: NDArray[np.int64]) -> Composition:
        """The same parts, levels and occupancies, in the chosen particles."""
        parts = tuple(replace(part, probability=part.probability[rows]) for part in self.parts)
        measured = ImageAmplitudes(
            self.measured.names[rows], self.measured.amplitude[rows], self.measured.covariance[rows]
        )
        return Composition(measured, self.part_names, parts)

    def hard_count(self, part: int) -> int | None:
        """Particles in which part 1 ... K is more likely there than not; None if undefined."""
        probability = self.parts[part - 1].probability
        return None if np.isnan(probability).any() else int((probability > 0.5).sum())

    def doubtful(self, part: int) -> int:
        """Particles of which it cannot be told (5% to 95%) whether the part is there."""
        probability = self.parts[part - 1].probability
        return int(((probability > 0.05) & (probability < 0.95)).sum())

    def save(self, folder: Path) -> None:
        """Write occupancies.csv, presence.csv, amplitudes.csv and their covariances (.npy)."""
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / "occupancies.csv", _occupancy_table(self))
        labels = [f"part_{k}" for k in range(1, len(self.parts) + 1)]
        name = {"name": self.names}
        write_table(
            folder / "presence.csv", name | dict(zip(labels, self.probability.T, strict=True))
        )
        amplitudes = dict(zip(labels, self.measured.amplitude.T, strict=True))
        errors = np.sqrt(self.measured.variance).T
        deviations = {f"{k}_error": e for k, e in zip(labels, errors, strict=True)}
        write_table(folder / "amplitudes.csv", name | amplitudes | deviations)
        save_array(folder / "amplitude_covariances.npy", self.measured.covariance.astype("f4"))
        summary = {
            "particles": len(self.names),
            "parts": len(self.parts),
            "optional_parts": self.optional,
            "measured_in": "images, by least squares of the parts' projections",
        }
        write_text(folder / "summary.json", json.dumps(summary, indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If a file is missing or does not fit the others.
        """
        with reading(folder / "occupancies.csv", "of a folder of composition", CURE):
            occupancies = read_rows(folder / "occupancies.csv", cure=CURE)
            presence = read_table(folder / "presence.csv", ["name"], cure=CURE)
            amplitudes = read_table(folder / "amplitudes.csv", ["name"], cure=CURE)
            labels = [row["part"] for row in occupancies]
            probability = {k: presence[k].to_numpy(dtype=np.float64) for k in labels}
            parts = tuple(
                Presence(
                    change=row["change"],  # type: ignore[arg-type]
                    probability=probability[row["part"]],
                    **{key: float(row[key] or "nan") for key in NUMBERS},
                )
                for row in occupancies
            )
            measured = ImageAmplitudes(
                names=amplitudes["name"].to_numpy(dtype=np.str_),
                amplitude=amplitudes[labels].to_numpy(dtype=np.float64),
                covariance=load_array(folder / "amplitude_covariances.npy").astype(np.float64),
            )
            return cls(measured, tuple(row["name"] for row in occupancies), parts)


def find_composition(
    measured: ImageAmplitudes,
    part_names: Sequence[str],
    image: NDArray[np.int64] | None = None,
    counted: NDArray[np.bool_] | None = None,
) -> Composition:
    """Judge every part's presence from the measured amplitudes.

    Parameters
    ----------
    measured : ImageAmplitudes
    part_names : sequence of str, length K
    image : int array, shape (P,), optional
        Number of each row's image, by which intervals count. Default: an image a row.
    counted : bool array, shape (P,), optional
        Particles that levels and occupancies are found from. Default: all.
    """
    parts = [
        fit_presence(amplitude, variance, image, counted)
        for amplitude, variance in zip(measured.amplitude.T, measured.variance.T, strict=True)
    ]
    return Composition(measured, tuple(part_names), judged_together(measured, parts))


def _occupancy_table(composition: Composition) -> str:
    header = ["part", "name", "change", "occupancy", "low", "high", "soft", "hard", "doubtful"]
    levels = [key for key in NUMBERS if key not in header]
    lines = [",".join(header + levels)]
    for number, (name, part) in enumerate(
        zip(composition.part_names, composition.parts, strict=True), start=1
    ):
        hard = composition.hard_count(number)
        soft = None if hard is None else float(part.probability.sum())
        cells = [
            f"part_{number}",
            f'"{name}"' if "," in name else name,
            part.change,
            _text(part.occupancy),
            _text(part.low),
            _text(part.high),
            "" if soft is None else f"{soft:.1f}",
            "" if hard is None else str(hard),
            "" if hard is None else str(composition.doubtful(number)),
        ]
        lines.append(",".join(cells + [_text(getattr(part, key)) for key in levels]))
    return "\n".join(lines) + "\n"


def _text(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"
