"""Commands of the program in processes that need not import it anew; see `kill_worker`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).parent / "kill_worker.py"


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int  # negative: by a signal
    seconds: float
    errors: str  # standard error


@dataclass(frozen=True)
class Worker:
    """Runs commands one after the other."""

    process: subprocess.Popen[str]

    def run(self, *arguments: object, kill_after: float | None = None, limit: int = 0) -> Done:
        """A command; killed after so many seconds, its files no larger than a limit (bytes)."""
        assert self.process.stdin and self.process.stdout
        asked = {"arguments": [str(a) for a in arguments], "kill_after": kill_after, "limit": limit}
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        return Done(**json.loads(self.process.stdout.readline()))

    def finish(self, *arguments: object) -> float:
        """How long it takes; it must come to its end."""
        done = self.run(*arguments)
        assert done.status == 0, done.errors
        return done.seconds

    def kill(self, after: float, *arguments: object) -> None:
        """Kill it after some seconds, unless it has ended."""
        done = self.run(*arguments, kill_after=after)
        assert done.status in (-9, 0), done.errors


@contextmanager
def started_worker() -> Iterator[Worker]:
    """A worker that ends with the block."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, str(SCRIPT)], text=True, **pipes) as process:
        yield Worker(process)
        assert process.stdin
        process.stdin.close()
