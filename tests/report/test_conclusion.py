"""The end of a run: five sentences that are true of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryoparts.report.conclusion import conclude
from cryoparts.validation.trust_record import PartTrust, TrustRecord


def judged(folder, *parts, leaks=()):
    TrustRecord(tuple(parts), {"worrying_leaks": list(leaks)}).save(folder / "trust")


def test_five_lines_name_the_parts_the_numbers_and_the_files(fake_run):
    made = fake_run(particles=1500)
    judged(made.folder, *(PartTrust(name, name, null_ratio=0.2) for name in ("part_1", "part_2")))
    lines = dict(conclude(made.folder).lines())
    assert list(lines) == ["found", "how sure", "report", "ChimeraX", "next"]
    assert lines["found"].startswith("2 parts change, together ")
    for part in ("part 1 ", "part 2 "):
        assert part in lines["found"]
    assert "Held-out FRC" in lines["how sure"]
    assert "2 of 2 parts held against null particles" in lines["how sure"]
    assert str(made.folder / "report.html") in lines["report"]
    assert lines["next"].endswith(f"cryoparts trust {made.folder} --halves")
    assert all("\n" not in sentence for sentence in lines.values())


def test_a_part_that_null_particles_show_is_not_counted_as_holding(fake_run):
    made = fake_run(particles=1500)
    null = PartTrust("part_2", "part_2", null_ratio=0.99, amplitude_change=0.3)
    assert null.flagged
    judged(
        made.folder,
        PartTrust("part_1", "part_1", null_ratio=0.2),
        null,
        leaks=[{"quantity": "defocus"}],
    )
    sure = conclude(made.folder).sure
    assert "1 of 2 parts held" in sure
    assert "how the particles were imaged" in sure


@pytest.mark.parametrize(("particles", "gain"), [(1500, 0.0), (60, 0.02)])
def test_nothing_is_found_where_nothing_can_be_concluded(fake_run, particles, gain):
    found = conclude(fake_run(particles=particles, gain=gain).folder)
    assert found.found == "Nothing can be concluded from this run."
    assert found.sure.startswith("not at all")
    assert "cryoparts check" in found.next


def test_what_was_trained_again_is_not_asked_for_once_more(fake_run):
    made = fake_run(particles=1500)
    judged(made.folder, PartTrust("part_1", "part_1", stability_halves=0.9))
    assert "cryoparts dashboard" in conclude(made.folder).next


def test_many_parts_are_summed_up(fake_run):
    found = conclude(fake_run(particles=1500, parts=5).folder).found
    assert found.count("part ") == 3
    assert found.endswith(", 1 more.")  # four of the five fit this molecule


def test_the_readme_shows_the_end_of_the_demo_in_these_lines(fake_run):
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = readme[readme.index("found     ") :].split("```")[0]
    keys = [line[:10].strip() for line in shown.splitlines() if not line.startswith(" ")]
    expected = [what for what, _ in conclude(fake_run(particles=1500).folder).lines()]
    assert keys == [*expected, "demo done"]


def test_what_one_part_does_is_said_once(fake_run):
    found = conclude(fake_run(particles=1500, parts=1).folder).found
    assert found.count("comes and goes") == 1
