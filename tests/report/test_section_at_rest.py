"""The section of maps at rest: what the table of the run says, with its pictures."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from cryoparts.figures.at_rest import BeforeAfter
from cryoparts.pipeline.maps.at_rest import reconstruct_at_rest
from cryoparts.report.page import write_report
from cryoparts.report.section_at_rest import at_rest_section
from resting_run import make_resting_run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = make_resting_run(tmp_path_factory.mktemp("section") / "made")
    assert not at_rest_section(made.root).html
    reconstruct_at_rest(made)
    return made


@pytest.fixture(scope="module")
def section(run):
    return at_rest_section(run.root)


def test_the_table_is_that_of_the_run(run, section):
    summary = json.loads((run.directory.at_rest_path / "summary.json").read_text())
    arm = next(row for row in summary["regions"] if row["region"] == "part_1")
    assert f"{arm['consensus_angstrom']:.1f} Å" in section.html
    assert f"{arm['rigid_angstrom']:.1f} Å" in section.html
    assert "It is better than the consensus in part 1" in section.html
    assert "rigid, at rest" in section.html
    assert "The halves share one model" in section.html


def test_three_pictures(section):
    names = [picture.name for picture in section.pictures]
    assert names == ["at_rest_fsc", "at_rest_surfaces", "at_rest_slices"]
    for picture in section.pictures:
        with Image.open(io.BytesIO(picture.png)) as image:
            assert np.asarray(image.convert("L")).std() > 5
        assert picture.caption


def test_before_and_after_can_be_turned_on_the_page(run, new_page):
    page = new_page()
    page.goto(write_report(run.root).as_uri() + "#at-rest")
    scene = page.locator("#at-rest .scene.maps")
    scene.scroll_into_view_if_needed()
    scene.locator(":scope[data-drawn=yes]").wait_for()
    assert scene.get_by_role("button", name="consensus").is_visible()
    assert scene.get_by_role("button", name="every part at rest").is_visible()
    assert scene.locator("canvas").count() >= 3


def test_nothing_better_is_said(run, tmp_path, monkeypatch):
    path = run.directory.at_rest_path / "summary.json"
    whole = path.read_text()
    summary = json.loads(whole)
    for row in summary["regions"]:
        row["kept"] = "consensus"
    summary["halves_trained_apart"] = True
    path.write_text(json.dumps(summary))
    html = at_rest_section(run.root).html
    path.write_text(whole)
    assert "No region is better than in the consensus" in html
    assert "never saw each other" in html


def test_the_colours_span_both_maps():
    rng = np.random.default_rng(0)
    local = tuple(rng.uniform(low, low + 2, (8, 8, 8)).astype(np.float32) for low in (4, 8))
    shown = BeforeAfter(local, local, np.ones((8, 8, 8), np.float32), 2.0)
    low, high = shown.range_angstrom
    assert low == pytest.approx(4.0, abs=0.2)
    assert high == pytest.approx(10.0, abs=0.2)


def test_the_script_opens_what_is_there(run):
    folder = run.directory.at_rest_path
    script = (folder / "at_rest.cxc").read_text().splitlines()
    opened = [line.split()[1] for line in script if line.startswith("open ")]
    assert len(opened) == 4
    assert all((folder / name).is_file() for name in opened)
    levels = {line.split()[-1] for line in script if line.startswith("volume ")}
    assert len(levels) == 1
