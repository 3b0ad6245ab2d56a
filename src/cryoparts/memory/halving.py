"""Where memory runs out, half as many particles at a time.

One mechanism for the training and for every sweep over particles: a task is called on a
batch; where memory runs out, on the halves of it, and from then on never on more than went
through. What is said of it is said once a halving.
"""

from __future__ import annotations

import errno
import gc
import logging
import sys
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.int64]

LOG = logging.getLogger(__name__)

Result = TypeVar("Result")

WORDS = (
    "out of memory",  # CUDA, ROCm, MPS
    "can't allocate memory",  # torch on the processor
    "not enough memory",  # the same on other systems
    "ALLOC_FAILED",  # CUBLAS_STATUS_, CUDNN_STATUS_
)
"""How a RuntimeError says that memory has run out."""


def is_shortage(error: BaseException) -> bool:
    """Whether an error says that memory has run out, on the processor or on a device."""
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error) for words in WORDS)


@dataclass
class Halving:
    """How many particles at a time have gone through, of one kind of work.

    Parameters
    ----------
    what : str
        The work, for the user: "training".
    most : int or None
        Particles at a time that memory is known to bear; None before it has run out.
    """

    what: str
    most: int | None = None

    def tried(self, count: int, attempt: Callable[[int], Result]) -> Result:
        """`attempt(n)`, with half as many particles `n` at a time whenever memory runs out.

        Parameters
        ----------
        count : int
            Particles of the whole; the first `n`, unless fewer are known to go through.
        attempt : callable
            Goes through them, `n` at a time. What it has done when memory runs out it may
            keep and not do again, or do again.

        Raises
        ------
        InputError
            If there is not memory enough for one particle at a time.
        """
        while True:
            size = max(1, count if self.most is None else min(count, self.most))
            try:
                return attempt(size)
            except (MemoryError, RuntimeError, OSError) as error:
                if not is_shortage(error):
                    raise
            # only here, behind the block, are the error's frames and what they hold let go
            _let_go()
            self._halve(size)

    def call(
        self,
        task: Callable[[Rows], Result],
        rows: Rows,
        join: Callable[[Sequence[Result]], Result] | None = None,
    ) -> Result:
        """A task of a batch, or of the parts of it that memory bears, joined in their order.

        Parameters
        ----------
        task : callable
            Takes particles. It changes nothing, since it may be broken off and called again.
        rows : int array, shape (n,)
        join : callable, optional
            Makes one answer of those of several parts. Default: the task's own `joined`
            where it has such a method, else `joined` of this module.

        Raises
        ------
        InputError
            If there is not memory enough for one particle at a time.
        """
        answers: list[Result] = []
        sizes: list[int] = []

        def attempt(size: int) -> None:
            while (done := sum(sizes)) < len(rows) or not sizes:
                part = rows[done : done + size]
                answers.append(task(part))
                sizes.append(len(part))

        self.tried(len(rows), attempt)
        if len(answers) == 1:
            return answers[0]
        own = join or getattr(task, "joined", None)
        return joined(answers, sizes) if own is None else own(answers)

    def _halve(self, size: int) -> None:
        if size <= 1:
            raise InputError(
                self.what,
                "there is not memory enough for one particle at a time",
                "Give it more (--memory, the queue's limit, a machine with more), or take "
                "smaller working images (--box-size) or fewer Gaussians (--n-gaussians).",
            )
        self.most = -(-size // 2)
        LOG.warning(
            "%s: memory ran out with %d particles at a time; going on with %d",
            self.what,
            size,
            self.most,
        )


def joined(answers: Sequence[Any], sizes: Sequence[int]) -> Any:
    """One answer of those for parts of a batch, one behind the other.

    Parameters
    ----------
    answers : sequence
        Arrays or tensors with a row a particle, or tuples, lists, dicts or frozen dataclasses
        of such; what is None in one is None in all.
    sizes : sequence of int
        Particles of each part.

    Raises
    ------
    TypeError
        If they are something else: a sum over a batch, say, which the task itself must join.
    """
    first = answers[0]
    if first is None:
        return None
    if isinstance(first, tuple | list):
        made = [joined(column, sizes) for column in zip(*answers, strict=True)]
        return type(first)(*made) if hasattr(first, "_fields") else type(first)(made)
    if isinstance(first, dict):
        return {key: joined([answer[key] for answer in answers], sizes) for key in first}
    if is_dataclass(first) and not isinstance(first, type):
        names = [one.name for one in fields(first)]
        columns = {
            name: joined([getattr(answer, name) for answer in answers], sizes) for name in names
        }
        return replace(first, **columns)
    shapes = [getattr(answer, "shape", ()) for answer in answers]
    if any(not shape or shape[0] != n for shape, n in zip(shapes, sizes, strict=True)):
        raise TypeError(
            f"answers of type {type(first).__name__} have no row a particle: "
            "the task needs a method `joined`"
        )
    return _one_behind_the_other(answers)


def _one_behind_the_other(arrays: Sequence[Any]) -> Any:
    # imported here: the command line asks this module what an error is, before any work
    import numpy as np

    if isinstance(arrays[0], np.ndarray):
        return np.concatenate(arrays)
    import torch

    return torch.cat(list(arrays))


def held_bytes(answer: Any) -> int:
    """Memory of the arrays and tensors of an answer, of any form that `joined` takes."""
    if isinstance(answer, dict):
        return sum(held_bytes(one) for one in answer.values())
    if isinstance(answer, tuple | list):
        return sum(held_bytes(one) for one in answer)
    if is_dataclass(answer) and not isinstance(answer, type):
        return sum(held_bytes(getattr(answer, one.name)) for one in fields(answer))
    return int(getattr(answer, "nbytes", 0))


def _let_go() -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
