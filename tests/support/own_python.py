"""A Python of its own, for what must be set before a library is imported."""

from __future__ import annotations

import os
import subprocess
import sys


def in_python(*arguments: str, **environment: str) -> str:
    """What a Python of these arguments and this environment prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
