from __future__ import annotations

import numpy as np
import pytest

from cryoparts.report.section_trust import trust_section
from cryoparts.report.verdict import Verdict
from cryoparts.validation.limits import Limits
from cryoparts.validation.null_amplitude import PartAgainstNull
from cryoparts.validation.null_judgement import NullTest
from cryoparts.validation.trust_record import PartTrust, TrustRecord
from cryoparts.validation.visible_parts import VisibleParts

GOOD = Verdict("good", "The model explains particles it has never seen.", ())


def judged(part: int, ratio: float) -> PartAgainstNull:
    random = np.random.default_rng(part)
    data = random.normal(size=60)
    return PartAgainstNull(
        part, 0.4, 0.4 * ratio, 0.0, 0.0, data, ratio * data, ratio, min(1.1 * ratio, 2.0)
    )


def test_without_any_check_there_is_no_section_and_the_verdict_stays(tmp_path) -> None:
    section = trust_section(tmp_path)
    assert section.html == ""
    assert section.added_to(GOOD) is GOOD


def test_parts_that_hold_are_said_to(tmp_path) -> None:
    folder = tmp_path / "trust"
    NullTest((judged(1, 0.3),), (), (), "x", 60).save(folder)
    parts = (
        PartTrust(
            "part_1",
            "head",
            null_ratio=0.3,
            null_ratio_high=0.33,
            leakage=0.01,
            leakage_quantity="defocus",
            stability_subsamples=0.97,
        ),
    )
    TrustRecord(parts, {"trained_again": {}, "worrying_leaks": []}).save(folder)
    assert "What limits" not in trust_section(tmp_path).html
    shares = np.array([0.01, 0.03])
    visible = VisibleParts(shares, np.array([0.87, 0.98]), np.zeros(2), np.ones(2))
    rings = tuple((200.0 / ring, 1.0 / ring) for ring in range(2, 20))
    Limits(0.15, 1.9, 1.6, rings, visible).save(tmp_path / "limits.json")
    section = trust_section(tmp_path)
    assert "off by about 1.9° and 1.6 Å" in section.html
    assert "15% of the particles" in section.html
    assert "0.5 at 100 Å" in section.html
    assert "87%" in section.html
    assert "holds" in section.html
    assert "head" in section.html
    assert "--halves" in section.html
    assert {picture.name for picture in section.pictures} == {"trust_null", "trust_stability"}
    assert section.added_to(GOOD).trust == "good"
    assert "null ratio 0.30" in section.added_to(GOOD).reasons[-1]


def test_a_flagged_or_unstable_part_makes_the_verdict_careful(tmp_path) -> None:
    folder = tmp_path / "trust"
    NullTest((judged(1, 0.9), judged(2, 0.2)), (), (), "x", 60).save(folder)
    again = {
        "halves": {
            "parts": [2, 1],
            "correlation": 0.5,
            "amplitude_error": 0.2,
            "amplitude_size": 0.4,
            "displacement_size_angstrom": 0.0,
        }
    }
    parts = (
        PartTrust(
            "part_1",
            "part_1",
            null_ratio=0.9,
            stability_subsamples=0.9,
            amplitude_error_halves=0.2,
            displacement_error_halves_angstrom=0.0,
        ),
        PartTrust(
            "part_2",
            "part_2",
            null_ratio=0.2,
            stability_subsamples=0.1,
            amplitude_error_halves=0.1,
            displacement_error_halves_angstrom=0.0,
        ),
    )
    TrustRecord(parts, {"trained_again": again, "worrying_leaks": []}).save(folder)
    section = trust_section(tmp_path)
    verdict = section.added_to(GOOD)
    assert verdict.trust == "caution"
    assert any("part 1" in reason and "noise" in reason for reason in verdict.reasons)
    assert any("part 2" in reason and "half" in reason for reason in verdict.reasons)
    assert "flagged" in section.html
    assert "2 and 1 parts" in section.html
    assert "trust_halves" in {picture.name for picture in section.pictures}


@pytest.mark.parametrize("count", [1, 13])
def test_where_nothing_changes_the_page_says_so(tmp_path, count) -> None:
    dropped = tuple(judged(part, 0.95) for part in range(1, count + 1))
    NullTest((), dropped, (5,) * count, "x", 60).save(tmp_path / "trust")
    TrustRecord((), {"trained_again": {}, "worrying_leaks": []}).save(tmp_path / "trust")
    section = trust_section(tmp_path)
    assert section.headline.startswith("No part changes")
    assert "went back into the core" in section.html
    assert "no part" in section.added_to(GOOD).reasons[-1]
