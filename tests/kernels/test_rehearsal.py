"""What is compiled ahead of a training is what the training asks for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SUPPORT = Path(__file__).parents[1] / "support"

PROGRAM = """
import json, sys
from dataclasses import replace
from pathlib import Path

from cryoparts.kernels.rehearsal import rehearse
from cryoparts.training.setup import prepare_training
from cryoparts.training.trainer import Trainer
from training_example import QUICK, Silent, make_example


def compiled():
    return {
        f"{function.py_func.__module__}.{function.py_func.__name__}{signature}"
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").startswith("cryoparts.kernels")
        for function in vars(module).values()
        for signature in getattr(function, "nopython_signatures", ())
    }


rehearse()
before = compiled()
config = replace(QUICK, epochs=1, vary=tuple(sys.argv[2].split(",")))
example = make_example(Path(sys.argv[1]), config)
Trainer(example.run, prepare_training(example.run, config), config).train(Silent())
print(json.dumps([sorted(before), sorted(compiled() - before)]))
"""


@pytest.mark.parametrize("vary", ["amplitude", "position,amplitude"])
def test_a_training_compiles_nothing_that_was_not_rehearsed(tmp_path, vary):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "run"), vary],
        capture_output=True,
        text=True,
        cwd=SUPPORT,
        check=True,
    )
    rehearsed, further = json.loads(done.stdout.splitlines()[-1])
    assert any("splat_backward" in name for name in rehearsed)
    assert further == []
