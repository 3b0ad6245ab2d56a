"""Runs commands in children that know the program already, and kills them when asked to.

    python kill_worker.py

One JSON object a line comes in, {"arguments": [...], "kill_after": seconds or null, "limit":
bytes that a file may have, or 0}, and one goes out, {"status": exit status, negative for a
signal, "seconds": how long it took, "errors": what it said on standard error}.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path

import cryoparts.cli.main as cli
from cryoparts.cli.main import COMMANDS

for verb, (folder, _) in COMMANDS.items():  # each child would import them anew
    __import__(f"cryoparts.cli.{folder}.{verb.replace('-', '_')}")


def child(arguments: list[str], errors: int, limit: int) -> None:
    """Does not come back."""
    if limit:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write beyond it is an error then
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    os.dup2(errors, 2)
    sys.argv = ["cryoparts", *arguments]
    status = 0
    try:
        cli.main(arguments)
    except SystemExit as ended:
        status = int(ended.code or 0)
    except BaseException:  # noqa: BLE001
        sys.excepthook(*sys.exc_info())
        status = 70
    sys.stderr.flush()
    os._exit(status)


def run(arguments: list[str], kill_after: float | None, limit: int) -> dict[str, object]:
    with tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        process = os.fork()
        if process == 0:
            child(arguments, errors.fileno(), limit)
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(process, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        seconds = time.monotonic() - started
        errors.seek(0)
        said = errors.read().decode(errors="replace")
    return {"status": status, "seconds": seconds, "errors": said}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)
