from __future__ import annotations

import pytest

from cryoparts.errors import InputError
from cryoparts.report.section_maps import changes_of_part


def text_of(made) -> str:
    return str(changes_of_part(made.folder / "reconstruction" / "part_1"))


def test_peaks_are_told_with_their_part(whole_run):
    html = text_of(whole_run)
    assert "Where the states differ" in html
    assert "State 1 − state 2" in html
    assert html.count("<tr>") > 1
    assert "<td>part 1</td>" in html


def test_what_was_not_made_is_left_out(tmp_path, fake_run):
    assert changes_of_part(tmp_path) == ""
    made = fake_run()
    (made.folder / "reconstruction" / "part_1" / "peaks.csv").unlink()
    assert text_of(made) == ""


def test_names_cannot_bring_markup_into_the_page(fake_run):
    made = fake_run()
    path = made.folder / "reconstruction" / "part_1" / "peaks.csv"
    path.write_text(path.read_text().replace("part_1", "<b>me</b>"))
    assert "<b>me" not in text_of(made)
    assert "&lt;b&gt;me" in text_of(made)


def test_a_broken_table_is_named(fake_run):
    made = fake_run()
    (made.folder / "reconstruction" / "part_1" / "peaks.csv").write_text("x\n1\n")
    with pytest.raises(InputError, match=r"peaks\.csv"):
        text_of(made)
