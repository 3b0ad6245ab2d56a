"""Names come from files, and are text wherever they stand."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard_of import dashboard_of
from run_of_particles import make_run, names_of

ODD = (
    "000001@<script>document.title='hit'</script>.mrcs",
    "000002@\"'><img src=x onerror=document.title='hit'>.mrcs",
    "000003@../../../etc/passwd",
    "000004@粒子/选择.mrcs",
    "000005@" + "x" * 300,
    "000006@{{ 7 * 7 }} ${7 * 7} </title>",
)

PART = "<b onclick=alert(1)>arm</b>'\"" + "长" * 60


@pytest.fixture
def page(tmp_path, new_page):
    names = np.array([*ODD, *names_of()[len(ODD) :].tolist()])
    run = make_run(tmp_path / "run", names=names, arm=PART)
    with dashboard_of(run.root) as server:
        opened = new_page(width=390, height=844)
        opened.goto(server.url)
        opened.wait_for_selector("body[data-ready]")
        yield opened


def test_names_of_particles_are_shown_as_they_are(page):
    for row, name in enumerate(ODD, start=1):
        page.fill("#row", str(row))
        page.press("#row", "Enter")
        page.wait_for_function(
            "name => document.getElementById('particle-name').textContent.startsWith(name)",
            arg=name,
        )
    assert page.title() != "hit"
    assert page.locator("#particle-name *").count() == 0
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


def test_names_of_parts_are_shown_as_they_are(page):
    page.click("#parts li:nth-child(3) button")
    page.wait_for_function("() => document.getElementById('x').value === 'x:part_2'")
    assert page.inner_text("#parts li:nth-child(3) b").endswith(PART)
    page.fill("#condition", "half == 1")
    page.press("#condition", "Enter")
    page.wait_for_selector("#populations tr.head")
    assert PART in page.inner_text("#populations")
    assert PART in page.inner_text("#view")
    assert page.locator("b[onclick]").count() == 0
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 390


def test_what_is_typed_is_shown_as_it_is(page):
    page.fill("#condition", "<img src=x onerror=document.title='hit'> > 1")
    page.press("#condition", "Enter")
    page.wait_for_selector("#problem:not([hidden])")
    assert "<img" in page.inner_text("#problem")
    assert page.locator("#problem *").count() == 0
    assert page.title() != "hit"
