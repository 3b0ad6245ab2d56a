"""What the site makes itself, from the program and from files that lie elsewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from cryoparts.cli.main import COMMANDS

pytest.importorskip("mkdocs", reason="the site needs the extra `docs`")

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hooks():
    """docs/site_hooks.py"""
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs" / "site_hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_every_verb_and_the_options_that_short_help_leaves_out(hooks):
    page = hooks.commands_page()
    for verb in COMMANDS:
        assert f"## cryoparts {verb}" in page
    for option in ("--max-resolution", "--keep-flagged", "--at-rest", "--null-training"):
        assert f"`{option}" in page


def test_equations_become_mathml(hooks):
    html = hooks.on_page_content(
        r'<p>a <span class="arithmatex">\(x_n &lt; 1\)</span></p>'
        r'<div class="arithmatex">\[\frac{a}{b}\]</div>'
    )
    assert html.count("<math") == 2
    assert "&#x0003C;" in html  # "<", escaped
    assert 'display="block"' in html
    assert "arithmatex" not in html


def test_files_that_lie_elsewhere_exist_and_every_page_is_in_the_menu(hooks):
    assert all(path.is_file() for path in hooks.ELSEWHERE.values())
    config = SimpleNamespace(**yaml.safe_load((ROOT / "mkdocs.yml").read_text()))
    menu = set(re.findall(r"([\w/]+\.md)", str(hooks.on_config(config).nav)))
    own = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert menu == own | set(hooks.ELSEWHERE) | {"commands.md"}
