"""One word and one number for each part."""

from __future__ import annotations

from cryoparts.report.beliefs import beliefs_of
from cryoparts.validation.trust_record import PartTrust, TrustRecord


def test_a_part_holds_or_is_doubtful_or_was_not_tested(tmp_path):
    assert beliefs_of(tmp_path) == {}
    parts = (
        PartTrust("part_1", "part_1", null_ratio=0.2),
        PartTrust("part_2", "arm", null_ratio=0.97, amplitude_change=0.3),
        PartTrust("part_3", "part_3"),
        PartTrust("part_4", "part_4", null_ratio=0.3, stability_subsamples=0.1),
    )
    (tmp_path / "trust").mkdir()
    TrustRecord(parts, {"trained_again": {}, "worrying_leaks": []}).save(tmp_path / "trust")
    found = beliefs_of(tmp_path)
    assert [found[k].sign for k in (1, 2, 3, 4)] == ["good", "caution", "unknown", "caution"]
    assert found[1].null_ratio == "null ratio 0.20"
    assert found[3].null_ratio == ""
