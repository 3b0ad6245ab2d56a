"""The trained run in a browser: one particle, a curve, maps, a selection's contents, a job."""

from __future__ import annotations

import re

import pytest

from archived_run import VERSIONS, unpacked
from browser import pages_of
from dashboard_of import begin_again, dashboard_of

PARTICLES, GAUSSIANS = 120, 48


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A dashboard of the archived run."""
    with dashboard_of(unpacked(VERSIONS[0], tmp_path_factory.mktemp("archive"))) as listening:
        yield listening


@pytest.fixture(scope="module")
def drawn(trained, chromium):
    with pages_of(chromium) as new_page:
        opened = new_page()
        opened.goto(trained.url)
        opened.wait_for_selector("body[data-ready]")
        yield opened


@pytest.fixture
def page(drawn):
    return begin_again(drawn)


def wait(page, script, arg=None):
    page.wait_for_function(script, arg=arg)


def placed(page):
    """What the viewer of the model was told last, as text that differs where it differs."""
    return page.evaluate("() => document.getElementById('model').dataset.places ?? ''")


def choose(page, condition):
    page.fill("#condition", condition)
    page.press("#condition", "Enter")
    wait(page, "() => document.querySelectorAll('#gallery img').length > 0")
    wait(page, "() => document.querySelectorAll('#averages li').length > 0")


def test_a_particle_that_is_clicked_shows_its_images_and_its_model(page):
    neutral = placed(page)
    # onto the first particle, wherever it lies
    at = page.evaluate("() => document.body.scatter.whereIs(0)")
    page.locator("#scatter").click(position={"x": at[0], "y": at[1]})
    page.wait_for_selector("#particle-found:not([hidden])")
    assert page.locator("#pictures img").count() == 3
    shown = page.evaluate(
        "() => [...document.querySelectorAll('#pictures img')].map((i) => [i.naturalWidth, i.alt])"
    )
    assert [width for width, _ in shown] == [32, 32, 32]
    assert [alt.split(" of ")[0] for _, alt in shown] == [
        "raw image", "filtered image", "projection",
    ]  # fmt: skip
    assert (
        len({page.get_attribute(f"#pictures figure:nth-child({i}) img", "src") for i in (1, 2, 3)})
        == 3
    )
    number = int(page.input_value("#row"))
    assert f"decoded model of particle {number}" in page.inner_text("#model-said")
    assert placed(page) != neutral
    page.select_option("#map", "model")
    wait(page, "n => document.getElementById('model').dataset.surface === `particle ${n}`", number)
    page.click("#forget")
    wait(page, "() => document.getElementById('model').dataset.surface === 'model'")
    wait(page, "before => document.getElementById('model').dataset.places === before", neutral)


@pytest.mark.parametrize("shown", ["", "model"])
def test_a_part_that_is_clicked_on_the_model_brings_its_own_plane(page, shown):
    page.select_option("#map", shown)
    if shown:
        wait(page, "() => document.getElementById('model').dataset.triangles > 100")
    places = page.evaluate(
        """() => {
          const { viewer, atoms, model } = document.body.molecule;
          const own = atoms.filter((a) => model.part[a.serial] === 1);
          return viewer.modelToScreen(own.map(({ x, y, z }) => ({ x, y, z })));
        }"""
    )
    assert places
    for place in places:  # some lie behind others
        page.mouse.click(place["x"], place["y"])
        if page.get_attribute("#parts button[data-part='1']", "aria-pressed") == "true":
            break
        page.wait_for_timeout(50)
    wait(page, "() => document.getElementById('x').value === 'x:part_1'")


def test_a_slider_along_the_curve_moves_model_and_map(page):
    page.click("#parts button:has-text('part 1')")
    wait(page, "() => !document.getElementById('along').disabled")
    page.select_option("#map", "model")
    wait(page, "() => document.getElementById('model').dataset.triangles > 100")
    page.focus("#along")
    seen = []
    for key in ("Home", "End"):
        page.keyboard.press(key)
        point = {"Home": "0", "End": "14"}[key]
        wait(
            page, "p => document.getElementById('model').dataset.surface?.endsWith(p)", f":{point}"
        )
        said = page.inner_text("#along-said")
        seen.append((placed(page), page.get_attribute("#model", "data-triangles"), said))
        assert re.search(r"mean of \d+ particles", said)
    assert seen[0][0] != seen[1][0]
    page.fill("#level", "1.8")
    wait(page, "n => document.getElementById('model').dataset.triangles !== n", seen[1][1])


def test_a_selection_shows_populations_averages_and_images(page):
    choose(page, "`state:part_1` == 1")
    shares = page.locator("#populations tr:not(.head)").all_inner_texts()
    assert shares[0].split()[:3] == ["state", "1", "100.0%"]
    assert page.locator("#averages li").count() >= 1
    assert page.locator("#gallery button").count() == 20
    page.locator("#gallery button").nth(3).click()
    page.wait_for_selector("#particle-found:not([hidden])")
    # cleared with the selection
    page.fill("#condition", "nothing > 1")
    page.press("#condition", "Enter")
    page.wait_for_selector("#summary", state="hidden")


def test_a_job_runs_with_its_log_and_its_map_is_shown(page, trained):
    choose(page, "defocus > quantile(defocus, 0.3)")
    page.fill("#name", "deep")
    page.click("#save")
    page.wait_for_selector("#selections li")
    page.select_option("#job", "selection")
    page.click("#go")
    page.wait_for_selector("#job-report[data-state='done']", timeout=60_000)
    assert "deep: selected 84 particles" in page.inner_text("#log")
    wait(page, "() => document.getElementById('map').value.startsWith('selection_deep/')")
    wait(page, "() => document.getElementById('model').dataset.triangles > 100")
    # the log of before is there for who comes later
    page.reload()
    page.wait_for_selector("#job-report[data-state='done']")
    assert "deep: selected 84 particles" in page.inner_text("#log")


def test_a_job_is_stopped(page, trained):
    page.select_option("#job", "states")
    page.click("#go")
    page.wait_for_selector("#stop:not([hidden])")
    assert page.is_disabled("#go")
    page.click("#stop")
    page.wait_for_selector("#job-report[data-state='failed']", timeout=40_000)
    assert "stopped" in page.inner_text("#job-said")
    assert page.is_enabled("#go")
