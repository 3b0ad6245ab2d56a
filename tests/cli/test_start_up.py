"""Help costs nothing: heavy libraries are imported when the work starts."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from cryoparts.cli.main import COMMANDS

HEAVY = (
    "torch", "numba", "scipy", "sklearn", "skimage", "matplotlib", "pandas", "umap", "starlette",
    "networkx", "h5py", "gemmi", "mrcfile",
)  # fmt: skip

PROGRAM = f"""
import json, sys
from cryoparts.cli.main import main
for arguments in json.loads(sys.argv[1]):
    main(arguments)
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    print("HEAVY", json.dumps([arguments, heavy]))
"""


def heavy_after(commands: list[list[str]]) -> list[tuple[list[str], list[str]]]:
    """What each command has imported, all in one process: the first to import it is named."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(commands)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("HEAVY ")]
    return [tuple(json.loads(line.removeprefix("HEAVY "))) for line in lines]


@pytest.fixture(scope="module")
def found():
    verbs = [[verb, "--help"] for verb in COMMANDS]
    below = [["simulate", kind, "--help"] for kind in ("composition", "motion", "both", "maps")]
    below += [["benchmark", kind, "--help"] for kind in ("composition", "motion", "assembly")]
    return heavy_after([["--help"], ["--version"], ["run", "--help-all"], *verbs, *below])


def test_help_of_every_verb_imports_no_heavy_library(found):
    assert len(found) == len(COMMANDS) + 10
    assert [one for one in found if one[1]] == []
