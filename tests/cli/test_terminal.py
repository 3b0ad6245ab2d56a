"""The program on a (pseudo-)terminal: stopped by Ctrl-C while its line is shown."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time

import pytest

pty = pytest.importorskip("pty")

WORK = """
import sys, time
from cryoparts.cli import main as program
from cryoparts.cli.console import progress_bars, say

class App:
    def parse_args(self, given, **_):
        class Bound:
            args, kwargs = (), {}
        return work, Bound, {}

def work():
    with progress_bars() as progress:
        say("a sentence")
        progress("embedding", 0, 0)
        time.sleep(60)

program.build_app = lambda **_: App()
program.main(["run", "p.star", "--model", "m.mrc", "-o", "nowhere"])
"""


def played(seconds: float) -> tuple[str, int]:
    """What is shown and the exit status, if Ctrl-C comes after a while."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", WORK],
        stdin=its, stdout=its, stderr=its, env=os.environ | {"TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(its)
    shown, begun = b"", None
    while True:
        ready, _, _ = select.select([ours], [], [], 0.1)
        now = time.monotonic()
        if begun is not None and now - begun > seconds:
            process.send_signal(signal.SIGINT)
            begun = float("inf")
        if not ready:
            continue
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        begun = now if begun is None else begun
        shown += piece
    os.close(ours)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.decode(errors="replace"))
    return text, process.wait()


def test_ctrl_c_says_what_is_kept_on_a_line_of_its_own_and_ends_with_130():
    text, status = played(seconds=1.5)
    lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
    assert status == 130
    assert "a sentence" in lines
    assert any("embedding" in line and "so far" in line for line in lines)
    assert "error: interrupted; nothing was written yet to nowhere" in lines
    assert "The same command begins this step again." in lines
    assert "Traceback" not in text
