"""What the words of the repository name is there: verbs, options, files, the version."""

from __future__ import annotations

import re
import tomllib
from contextlib import redirect_stdout
from functools import cache
from io import StringIO
from pathlib import Path

import pytest
import yaml

from cryoparts.cli.main import COMMANDS, build_app, main

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "benchmarks" / "README.md",
]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
OF_OTHER_PROGRAMS = {
    *("--help", "--version", "--install-completion", "--show-completion"),
    *("--ind", "--ptcl", "--ref"),  # cryoDRGN and EMAN2
    *("--nnodes", "--nproc-per-node", "--rdzv-backend", "--rdzv-endpoint"),  # torchrun
    "--nodes",  # SLURM
}
KINDS = {
    "simulate": ("composition", "motion", "bend", "both", "maps"),
    "benchmark": ("composition", "motion", "both", "assembly", "realistic", "maps"),
}


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def options_of(*command: str) -> frozenset[str]:
    """Every long option that the help of a command shows."""
    with pytest.MonkeyPatch.context() as environment, redirect_stdout(StringIO()) as said:
        environment.setenv("COLUMNS", "240")  # no name is cut
        main([*command, "--help-all"])
    return frozenset(OPTION.findall(said.getvalue()))


@cache
def all_options() -> frozenset[str]:
    return frozenset().union(*(options_of(*command) for command in _commands()))


def _commands() -> list[tuple[str, ...]]:
    return [
        *((verb,) for verb in COMMANDS if verb not in KINDS),
        *((verb, kind) for verb, kinds in KINDS.items() for kind in kinds),
    ]


def commands_in(text: str) -> list[str]:
    """Calls of the program in code: lines of fenced or indented blocks, and spans in backticks."""
    joined = text.replace("\\\n", " ").replace("\\|", "|")
    fences = re.findall(r"```\w*\n(.*?)```", joined, flags=re.DOTALL)
    prose = re.sub(r"```.*?```", "", joined, flags=re.DOTALL)
    indented = re.findall(r"^    (cryoparts .*)$", prose, flags=re.MULTILINE)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    lines = [line for block in fences for line in block.splitlines()]
    calls = [line.split(" #")[0].strip() for line in [*lines, *indented, *spans]]
    return [call for call in calls if re.match(r"cryoparts [a-z]", call)]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_of_a_page_exists_with_its_options(page):
    unknown = []
    for call in commands_in(page.read_text(encoding="utf-8")):
        verb, *rest = call.split()[1:]
        if verb not in COMMANDS:
            unknown.append(call)
            continue
        kinds = rest[0].split("|") if verb in KINDS and rest and rest[0][0] != "-" else []
        if any(kind not in KINDS[verb] for kind in kinds):
            unknown.append(call)
            continue
        commands = [(verb, kind) for kind in kinds or KINDS.get(verb, ())] or [(verb,)]
        known = frozenset().union(*(options_of(*command) for command in commands))
        unknown += [
            f"{option} of: {call}"
            for option in OPTION.findall(call)
            if option not in known | OF_OTHER_PROGRAMS
        ]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_option_that_a_page_speaks_of_is_one_of_the_program(page):
    spoken = set(OPTION.findall(page.read_text(encoding="utf-8")))
    assert spoken - all_options() - OF_OTHER_PROGRAMS == set()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_to_a_file_leads_to_one(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    here = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in here if not (page.parent / link).exists()] == []


def test_readme_names_every_verb():
    calls = commands_in((ROOT / "README.md").read_text(encoding="utf-8"))
    assert set(COMMANDS) - {call.split()[1] for call in calls} - {"demo"} == set()


def test_kinds_are_those_of_the_program():
    app = build_app()
    for verb, kinds in KINDS.items():
        assert {name for name in app[verb] if not name.startswith("-")} == set(kinds)


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+)", changes, flags=re.MULTILINE)
    assert newest is not None
    assert project["version"] == citation["version"] == newest[1]
