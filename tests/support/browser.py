"""A headless Chromium for tests of pages; they are skipped, visibly, where there is none."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

SOFTWARE_WEBGL = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def chromium_path() -> str | None:
    """Where the browser is: CRYOPARTS_CHROMIUM, or one of the usual names."""
    given = os.environ.get("CRYOPARTS_CHROMIUM")
    return given or next((found for name in PROGRAMS if (found := shutil.which(name))), None)


@pytest.fixture(scope="session")
def chromium():
    """The browser, started once for all tests."""
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium (install it, or set CRYOPARTS_CHROMIUM)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", *SOFTWARE_WEBGL]
        )
        yield browser
        browser.close()


@contextmanager
def pages_of(chromium):
    """A function that opens an empty page of a size; pages must run without an error."""
    contexts, faults = [], []

    def opened(width=1440, height=900, **options):
        context = chromium.new_context(viewport={"width": width, "height": height}, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.on(
            "console",
            lambda said: faults.append(said.text) if "Content Security" in said.text else None,
        )
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not faults, faults


@pytest.fixture
def new_page(chromium):
    """A function that opens an empty page, for one test."""
    with pages_of(chromium) as opened:
        yield opened
