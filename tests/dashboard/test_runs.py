"""Several runs of one folder on one page."""

from __future__ import annotations

import json

import pytest

from archived_run import VERSIONS, unpacked
from cryoparts.dashboard.run_folders import RunFolders
from cryoparts.errors import InputError
from dashboard_of import ask, dashboard_of
from run_of_particles import make_run

ODD = """<img src=x onerror="document.title='hit'">'选择"""


@pytest.fixture
def folder(tmp_path):
    """A trained run, one two levels down with a name that is no markup, a damaged one."""
    unpacked(VERSIONS[0], tmp_path / "runs")
    (tmp_path / "runs" / "deeper").mkdir()
    make_run(tmp_path / "runs" / "deeper" / ODD.replace("/", ""))
    (tmp_path / "runs" / "broken").mkdir()
    (tmp_path / "runs" / "broken" / "config.yaml").write_text("options: [")
    (tmp_path / "runs" / "nothing").mkdir()
    return tmp_path / "runs"


def test_runs_are_found_two_levels_down(folder):
    found = RunFolders.of(folder)
    assert found.alone is None
    assert [run.name for run in found.all()] == ["0.1.0", "broken", f"deeper/{ODD}"]
    assert found.get("../..") is None
    assert all(found.get(run.key) is run for run in found.all())


def test_a_folder_without_runs_is_a_plain_error(tmp_path):
    with pytest.raises(InputError, match="not a run folder, and holds none"):
        RunFolders.of(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        RunFolders.of(tmp_path / "nothing")


def test_each_run_has_its_verdict_and_a_damaged_one_says_so(folder):
    with dashboard_of(folder) as server:
        runs = json.loads(ask(server, "GET", "/runs")[1])["runs"]
        told = {
            run["name"]: json.loads(ask(server, "GET", f"/run/{run['key']}/verdict")[1])
            for run in runs
        }
        assert told["0.1.0"]["particles"] == 120
        assert told["0.1.0"]["found"]
        assert told["0.1.0"]["sure"]
        assert "config.yaml" in told["broken"]["problem"]
        broken = next(run["key"] for run in runs if run["name"] == "broken")
        assert ask(server, "GET", f"/run/{broken}/content")[0] == 400


def test_the_list_leads_to_each_run_and_names_are_text(folder, new_page):
    with dashboard_of(folder) as server:
        page = new_page(width=390, height=844)
        page.goto(server.url)
        page.wait_for_selector("body[data-ready]")
        assert page.locator("#runs li").count() == 3
        assert ODD in page.inner_text("#runs")
        assert page.locator("#runs img").count() == 0
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 390
        page.click(f"#runs a:has-text({json.dumps('deeper')})")
        page.wait_for_selector("body[data-ready] #parts li")
        assert ODD in page.inner_text("h1")
        assert page.title() != "hit"
        page.click("a.brand")
        page.wait_for_selector("#runs li")
