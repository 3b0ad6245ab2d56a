"""How a command ends that does not end by itself: interrupted, told to stop, a disk that fails."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from _thread import interrupt_main
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cryoparts.cli.console import say_error
from cryoparts.memory.limit import GIB, left_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

AGAIN_SECONDS = 0.1
"""After which a signal is given again that came at a wrong time."""

INTERRUPTED, TERMINATED, FAILED = 130, 143, 1
"""Exit status: 128 and the number of the signal, as shells have it; 1 where a file failed."""

RESUMABLE = ("run", "train", "relion")

CURES = {
    errno.ENOSPC: "Make room on the disk and give the same command again"
    " (`run` and `train` with --resume).",
    errno.EDQUOT: "Your quota is used up: make room and give the same command again"
    " (`run` and `train` with --resume).",
    errno.EFBIG: "A file may not grow so large here (`ulimit -f`, or the file system): raise that "
    "limit and give the same command again (`run` and `train` with --resume).",
    errno.EROFS: "The file system is read-only: copy the run to one that can be written.",
    errno.EACCES: "Mend the permissions, or copy the run to a place of yours.",
    errno.EPERM: "Mend the permissions, or copy the run to a place of yours.",
    errno.EIO: "The disk or the network failed: see whether the file can be read at all.",
    errno.ESTALE: "The network file system lost the file: give the same command again.",
    errno.ENOENT: "It was there when the command began: put it back and give the command again.",
}


class TerminatedError(BaseException):
    """The process was asked to stop (SIGTERM), by a queue or an administrator."""


@contextmanager
def told_to_stop() -> Iterator[None]:
    """SIGTERM raises `TerminatedError` in the block, Ctrl-C `KeyboardInterrupt`.

    Unfinished files are removed on the way out. A compiler that is left half way can take the
    process down later: a signal that comes while a kernel is compiled is given again a little
    later. So is one whose exception rises within a callback of a library (a kernel that is being
    loaded), where it is told to `sys.unraisablehook` and lost.
    """

    def stop(number: int, _frame: FrameType | None) -> None:
        if _compiles_a_kernel():
            _give_again(number)
        elif number == signal.SIGTERM:
            raise TerminatedError
        else:
            raise KeyboardInterrupt

    def lost(unraisable: sys.UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, TerminatedError | KeyboardInterrupt):
            terminated = issubclass(unraisable.exc_type, TerminatedError)
            _give_again(signal.SIGTERM if terminated else signal.SIGINT)
        else:
            told(unraisable)

    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored (``nohup &``)
        numbers.append(signal.SIGINT)
    try:
        before = {number: signal.signal(number, stop) for number in numbers}
    except ValueError:  # not the main thread: somebody else's program
        yield
        return
    told, sys.unraisablehook = sys.unraisablehook, lost
    try:
        yield
    finally:
        sys.unraisablehook = told
        for number, handler in before.items():
            signal.signal(number, handler)


def _give_again(number: int) -> None:
    timer = threading.Timer(AGAIN_SECONDS, interrupt_main, (number,))
    timer.daemon = True
    timer.start()


def _compiles_a_kernel() -> bool:
    """Whether this thread is within numba's compiler, which is not imported for the question."""
    compiler = sys.modules.get("numba.core.compiler_lock")
    return compiler is not None and bool(compiler.global_compiler_lock.is_locked())


def end_unfinished(arguments: Sequence[str], *, terminated: bool) -> None:
    """Say what is kept and how to go on; exit with 130 or 143."""
    what = "told to stop" if terminated else "interrupted"
    say_error(f"{what}; {_kept(arguments)}", _how_to_go_on(arguments))
    sys.exit(TERMINATED if terminated else INTERRUPTED)


def end_by_file(fault: OSError) -> None:
    """Say which file failed and what to do; exit with 1. Errors that are no file's go on."""
    cure = CURES.get(fault.errno or 0)
    if cure is None:
        raise fault
    where = f"{fault.filename}: " if fault.filename else ""
    reason = fault.strerror or os.strerror(fault.errno or 0)
    say_error(f"{where}{reason[0].lower()}{reason[1:]}; no file is half written", cure)
    sys.exit(FAILED)


def end_without_memory(fault: BaseException) -> None:
    """Say what did not fit, into how much, and what would help; exit with 1."""
    asked = f"{fault}".splitlines()[0].rstrip(".") if f"{fault}" else "no more can be had"
    say_error(
        f"memory ran out: {asked[:1].lower()}{asked[1:]}; {left_bytes() / GIB:.1f} GiB are left "
        "to this process, and no file is half written",
        "Give it more (--memory where you gave one, the queue's limit, another machine), or fewer "
        "processes or threads; smaller working images (--box-size) and fewer Gaussians "
        "(--n-gaussians) need less.",
    )
    sys.exit(FAILED)


def end_unread() -> None:
    """Whoever read what is printed has gone (``| head``): nothing is left to say."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())  # else the interpreter complains when it ends
    sys.exit(FAILED)


def _kept(arguments: Sequence[str]) -> str:
    folder = _output(arguments)
    if not arguments or arguments[0] not in RESUMABLE or folder is None:
        return "what earlier steps wrote is as it was"
    if not folder.is_dir():
        return f"nothing was written yet to {folder}"
    epochs = sorted(path.stem for path in (folder / "checkpoints").glob("epoch_*.json"))
    if not epochs:
        return f"{folder} keeps the model and the working images"
    return f"{folder} keeps everything up to epoch {int(epochs[-1].removeprefix('epoch_'))}"


def _how_to_go_on(arguments: Sequence[str]) -> str:
    if arguments and arguments[0] == "relion":
        return "Continue the job in RELION, or give the same command again."
    folder = _output(arguments)
    if arguments and arguments[0] in RESUMABLE and folder is not None and folder.is_dir():
        return "The same command with --resume goes on."
    return "The same command begins this step again."


def _output(arguments: Sequence[str]) -> Path | None:
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if option in ("-o", "--output"):
            return Path(value)
        if option == "--o":  # a job of RELION's
            return Path(value) / "run"
        if option.startswith("--output="):
            return Path(option.removeprefix("--output="))
    return None
