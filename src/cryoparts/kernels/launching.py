"""What fused kernels and their callers share, whatever they compute."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from torch import Tensor

LOG = logging.getLogger(__name__)

FUSED: dict[str, Any] = {"enable_fp_fusion": True}
"""Launch option: a * b + c in one rounding, whatever the default of the Triton installed."""


def on_device_of(tensor: Tensor) -> AbstractContextManager[object]:
    """Triton starts kernels on torch's current device, which need not be the tensor's."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def distinct_rows(tensor: Tensor) -> Tensor:
    """Contiguous, without gradients; one row where all rows are the same memory."""
    values = tensor.detach()
    if len(values) > 1 and values.stride(0) == 0:
        values = values[:1]
    return values.contiguous()


@cache
def warn_slower(what: str, reason: str) -> None:
    """Say once that work takes the slow path, and why."""
    LOG.warning("%s in plain torch, slower than need be: %s", what, reason)
