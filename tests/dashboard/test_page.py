"""The page in a browser: what is seen, chosen and saved."""

from __future__ import annotations

import pytest

from browser import pages_of
from cryoparts.selection.selection import read_names
from dashboard_of import begin_again, dashboard_of
from run_of_particles import PARTICLES, make_run, names_of


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with dashboard_of(make_run(tmp_path_factory.mktemp("page") / "run").root) as listening:
        yield listening


@pytest.fixture(scope="module")
def drawn(server, chromium):
    """The page of the small run, drawn."""
    with pages_of(chromium) as new_page:
        opened = new_page()
        opened.goto(server.url)
        opened.wait_for_selector("body[data-ready]")
        yield opened


@pytest.fixture
def page(drawn):
    return begin_again(drawn)


def drag(page, *places):
    """Draw with the pointer over the scatter: places as shares of its box."""
    box = page.locator("#scatter").bounding_box()
    at = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*at[0])
    page.mouse.down()
    for place in at[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


AROUND = ((0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98))
ALL = f"{PARTICLES} particles chosen"


def count(page, text):
    page.wait_for_function(
        "text => document.getElementById('count').textContent.startsWith(text)", arg=text
    )


def test_a_lasso_about_everything_is_saved(page, server):
    drag(page, *AROUND)
    count(page, ALL)
    page.fill("#name", "everyone")
    page.click("#save")
    page.wait_for_selector("#selections li")
    path = server.folders.alone.directory.selections_path / "everyone.csv"
    assert read_names(path) == names_of().tolist()


def test_a_box_takes_the_half_of_the_plane_that_it_covers(page):
    page.select_option("#view", label="part 1")
    page.wait_for_function("() => document.getElementById('x').value === 'x:part_1'")
    page.click("#tool-box")
    drag(page, (0.02, 0.02), (0.54, 0.99))
    count(page, f"{PARTICLES // 2} particles chosen")


def test_what_a_wrong_condition_leaves_is_nothing_to_save(page):
    page.fill("#condition", "half == 1")
    page.press("#condition", "Enter")
    count(page, f"{PARTICLES // 2} particles")
    assert page.is_enabled("#save")
    page.fill("#condition", "hlf == 1")
    page.press("#condition", "Enter")
    page.wait_for_selector("#problem:not([hidden])")
    assert "Is half meant?" in page.inner_text("#problem")
    assert page.inner_text("#count") == "nothing chosen"
    assert page.is_disabled("#save")


def test_a_part_of_the_list_or_the_model_brings_its_own_plane(page):
    page.click("#parts button:has-text('arm')")
    page.wait_for_function("() => document.getElementById('x').value === 'x:part_2'")
    assert page.get_attribute("#parts button:has-text('arm')", "aria-pressed") == "true"
    page.click("#parts button:has-text('arm')")
    page.wait_for_function("() => document.getElementById('x').value.startsWith('component')")


def test_a_colour_of_the_legend_chooses_its_particles(page):
    page.select_option("#colour", "half")
    page.click("#legend button:has-text('half 2')")
    count(page, f"{PARTICLES // 2} particles")


def test_particles_in_space_are_turned_and_chosen(page):
    page.select_option("#z", "defocus")
    page.wait_for_function("() => document.getElementById('tool-move').textContent === 'Turn'")
    page.focus("#scatter")
    page.keyboard.press("ArrowLeft")
    drag(page, *AROUND)
    count(page, ALL)


def test_every_control_has_a_name_and_is_reached_by_the_keyboard(page):
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, [tabindex]')].filter(
             (e) => !(e.ariaLabel || e.hasAttribute('aria-labelledby') || e.labels?.length
               || e.textContent.trim() || e.querySelector('img[alt]'))).map((e) => e.outerHTML)"""
    )
    assert nameless == []
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("() => document.activeElement.id"))
    assert {"theme", "model", "scatter", "x", "y", "z", "colour", "condition", "name"} <= reached


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_screen(server, new_page, width, scheme):
    page = new_page(width, 844, color_scheme=scheme)
    page.goto(server.url)
    page.wait_for_selector("body[data-ready]")
    assert page.evaluate("() => document.documentElement.scrollWidth") <= width
    assert page.evaluate("() => document.documentElement.dataset.theme") == scheme
    for canvas in ("#model", "#scatter"):
        box = page.locator(canvas).bounding_box()
        assert box["x"] >= 0
        assert box["width"] > 0.25 * width
        assert box["x"] + box["width"] <= width
