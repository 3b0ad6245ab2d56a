"""A graphics card that isn't there: tensors of a device of its own, computed on the processor.

What runs on it meets what it would meet on a card: tensors of two devices do not mix, NumPy
sees none of them, and what goes from one device to the other is counted. What is captured is
kept operation by operation and done again on the same memory, as a CUDA graph is.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

from cryoparts.kernels.splat import splat_rotated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

aten = torch.ops.aten

NAME = "card"

READS_A_NUMBER = (
    aten._local_scalar_dense,
    aten.is_nonzero,
    aten.equal,
    aten._linalg_check_errors,
)
SIZED_BY_NUMBERS = (aten.nonzero, aten.masked_select, aten.unique_dim, aten._unique2)
COPIES = (aten._to_copy, aten.copy_)
TAKES_INDICES = (aten.index, aten.index_put, aten.index_put_)


DONE_AT_ONCE = {
    aten._conj.default: aten.conj_physical.default,
    aten._neg_view.default: aten.neg.default,
}
"""Torch would note that these are still to be done in a bit that `OnCard` does not have."""


class OnCard(torch.Tensor):
    """A tensor on the pretended card; its numbers are in ``own``, on the processor."""

    @staticmethod
    def __new__(cls, own: torch.Tensor) -> OnCard:
        return torch.Tensor._make_wrapper_subclass(
            cls,
            own.size(),
            strides=own.stride(),
            storage_offset=own.storage_offset(),
            dtype=own.dtype,
            device=f"{NAME}:0",
        )

    def __init__(self, own: torch.Tensor) -> None:
        self.own = own

    def __repr__(self) -> str:
        return f"OnCard({self.own})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"{func} of a tensor on the pretended card, which is gone")


def _own(tree):
    return tree_map(lambda x: x.own if isinstance(x, OnCard) else x, tree)


def _written(func, args, kwargs) -> list[torch.Tensor]:
    """Those of its arguments that an operation writes to."""
    given = [
        kwargs.get(a.name) if a.kwarg_only or place >= len(args) else args[place]
        for place, a in enumerate(func._schema.arguments)
        if a.alias_info is not None and a.alias_info.is_write
    ]
    return [x for x in tree_leaves(given) if isinstance(x, torch.Tensor)]


def _is_card(device) -> bool:
    return device is not None and torch.device(device).type == NAME


class PretendedCard(TorchDispatchMode):
    """While it is entered, the device "card" exists.

    ``read`` counts what the processor has to wait for, by operation; ``sent`` what is
    copied to the card.
    """

    def __init__(self) -> None:
        super().__init__()
        self.read: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.tape: list | None = None
        self._before: list = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        from_card = any(isinstance(x, OnCard) for x in tensors)
        packet = func.overloadpacket
        to_card = _is_card(kwargs["device"]) if kwargs.get("device") is not None else from_card
        if packet is aten.copy_:
            to_card = isinstance(args[0], OnCard)
        self._count(packet, tensors, from_card=from_card, to_card=to_card)
        if from_card and packet not in COPIES:
            self._check_devices(func, tensors, packet)
        inner, given = _own((args, kwargs))
        if given.get("device") is not None:
            given = given | {"device": torch.device("cpu")}
            if packet is aten._to_copy and from_card != to_card:
                given.pop("non_blocking", None)
        if self.tape is not None and func._schema.is_mutable:
            self._before += [(x, x.clone()) for x in _written(func, inner, given)]
        with _disable_current_modes():
            function = DONE_AT_ONCE.get(func, func)
            result = function(*inner, **given)
        if self.tape is not None and (from_card or to_card):
            self.tape.append((function, inner, given, result))
        if func._schema.is_mutable:
            return self._changed(func, args, kwargs, result, to_card=to_card)
        return tree_map(
            lambda x: OnCard(x) if to_card and isinstance(x, torch.Tensor) else x, result
        )

    def _count(self, packet, tensors, *, from_card: bool, to_card: bool) -> None:
        name = packet.__name__
        by_mask = packet in TAKES_INDICES and any(x.dtype == torch.bool for x in tensors[1:])
        waits = packet in READS_A_NUMBER or packet in SIZED_BY_NUMBERS or by_mask
        if from_card and (waits or (packet in COPIES and not to_card)):
            self._refuse_captured(name)
            self.read[name] += 1
        here = any(not isinstance(x, OnCard) for x in tensors)
        if packet in COPIES and to_card and here:
            self._refuse_captured(name)
            self.sent[name] += 1

    def _refuse_captured(self, name: str) -> None:
        if self.tape is not None:
            raise RuntimeError(f"{name} between the card and the processor while it is captured")

    @staticmethod
    def _check_devices(func, tensors, packet) -> None:
        elsewhere = [x for x in tensors if not isinstance(x, OnCard) and x.ndim]
        if elsewhere and packet not in TAKES_INDICES:
            raise RuntimeError(f"{func}: tensors on the card and {elsewhere[0].device}")

    @staticmethod
    def _changed(func, args, kwargs, result, *, to_card: bool):
        """What an operation returns that writes to its arguments: these."""
        written = _written(func, args, kwargs)
        if len(func._schema.returns) == 1 and len(written) == 1:
            return written[0]
        if not func._schema.returns:
            return None
        return tree_map(
            lambda x: OnCard(x) if to_card and isinstance(x, torch.Tensor) else x, result
        )

    def kernel(self, function: Callable, *arguments):
        """Run a function of tensors as a card runs a kernel: as one operation, on its memory."""
        inner = _own(arguments)
        with _disable_current_modes():
            result = function(*inner)
        if self.tape is not None:
            self.tape.append((function, inner, {}, result))
        return tree_map(lambda x: OnCard(x) if isinstance(x, torch.Tensor) else x, result)

    def aside(self, function: Callable[[], None]) -> None:
        """Run a function that will be captured."""
        function()

    def capture(self, function: Callable[[], None]) -> Callable[[], None]:
        """Keep what the card does in a function, on memory that stays as it was."""
        self.tape = tape = []
        try:
            function()
        finally:
            self.tape = None
            for tensor, value in reversed(self._before):
                tensor.copy_(value)
            self._before.clear()
        return partial(_replay, tape)


def _replay(tape: list) -> None:
    """Do again what was captured, on the same memory."""
    with _disable_current_modes(), torch.no_grad():
        for func, args, kwargs, before in tape:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(before), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class AtOnce:
    """An executor that does what it is given at once: other threads know no pretended card."""

    def __init__(self, **options: object) -> None:
        pass

    def __enter__(self) -> AtOnce:
        return self

    def __exit__(self, *fault: object) -> None:
        pass

    def submit(self, function: Callable, *arguments) -> Future:
        future: Future = Future()
        future.set_result(function(*arguments))
        return future


class Splat(torch.autograd.Function):
    """The splat as the card's kernels have it: nothing is read back. The first argument is it."""

    @staticmethod
    def forward(ctx, card, positions, amplitudes, widths, frames, box_size, origin):
        ctx.card, ctx.rest = card, (box_size, origin)
        ctx.save_for_backward(positions, amplitudes, widths, frames)
        return card.kernel(_images, positions, amplitudes, widths, frames, box_size, origin)

    @staticmethod
    def backward(ctx, incoming):
        found = ctx.card.kernel(_gradients, incoming, *ctx.saved_tensors, *ctx.rest)
        return None, *found, None, None


def _images(positions, amplitudes, widths, frames, box_size, origin):
    return splat_rotated(
        positions, amplitudes, widths, frames, box_size, origin=origin, backend="cpu"
    )


def _gradients(incoming, *arguments):
    leaves = [t.detach().requires_grad_() for t in arguments[:4]]
    with torch.enable_grad():
        images = _images(*leaves, *arguments[4:])
    return torch.autograd.grad(images, leaves, incoming.contiguous())


@contextmanager
def pretended_card() -> Iterator[PretendedCard]:
    """The device "card", for a while; in a process that has taken no gradient before."""
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    if torch._C._get_privateuse1_backend_name() != NAME:
        _setup_privateuseone_for_python_backend(NAME)
    # so that torch.tensor(x, device="card") is a copy of what lies on the processor
    before = torch._C._only_lift_cpu_tensors()
    torch._C._set_only_lift_cpu_tensors(True)
    try:
        with PretendedCard() as card:
            yield card
    finally:
        torch._C._set_only_lift_cpu_tensors(before)
