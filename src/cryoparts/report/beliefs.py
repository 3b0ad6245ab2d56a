"""How far each part deserves belief, in one word and one number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.validation.trust_record import TrustRecord

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.validation.trust_record import PartTrust


@dataclass(frozen=True)
class Belief:
    """What is known for and against a part.

    Parameters
    ----------
    sign : str
        "good", "caution" or "unknown": the style of its mark on the page.
    verdict : str
        In a few words.
    null_ratio : str
        "null ratio 0.38", or empty.
    """

    sign: str
    verdict: str
    null_ratio: str = ""


UNTESTED = Belief("unknown", "not tested")


def beliefs_of(folder: Path) -> dict[int, Belief]:
    """Of each part by its number; empty before the null test has run.

    Raises
    ------
    InputError
        If a file of trust/ is damaged.
    """
    record = TrustRecord.load(folder / "trust")
    if record is None:
        return {}
    return {number: _belief(part) for number, part in enumerate(record.parts, start=1)}


def _belief(part: PartTrust) -> Belief:
    ratio = f"null ratio {part.null_ratio:.2f}" if np.isfinite(part.null_ratio) else ""
    if part.verdict == "holds":
        return Belief("good", part.verdict, ratio)
    return Belief("caution" if part.flagged or part.unstable else "unknown", part.verdict, ratio)
