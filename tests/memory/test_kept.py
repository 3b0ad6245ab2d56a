from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from cryoparts.memory.kept import keep_freed_memory
if {kept}:
    keep_freed_memory()
def some():
    return [np.ones(400_000) for _ in range(8)]  # of 3.2 MB each, freed together
some()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    some()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(*, kept: bool) -> int:
    """Pages that arrays made and freed again and again take from the system."""
    code = FAULTS.format(kept=kept)
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(made.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc alone")
def test_arrays_take_the_memory_of_those_before_them():
    assert faults(kept=True) < 0.1 * faults(kept=False)
