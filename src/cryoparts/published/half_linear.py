"""A Dense layer whose backward products may have bfloat16 factors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear

if TYPE_CHECKING:
    from torch import Tensor


class HalfGradientLinear(nn.Linear):
    """`torch.nn.Linear`, exact forward; gradients from products in ``backward_dtype``.

    Sums are float32 in any case. On other devices than the processor, and where
    ``backward_dtype`` is float32, it is `torch.nn.Linear`.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    backward_dtype : dtype
        float32 or bfloat16.
    """

    def __init__(self, inputs: int, outputs: int, backward_dtype: torch.dtype) -> None:
        super().__init__(inputs, outputs)
        self.backward_dtype = backward_dtype

    def forward(self, input: Tensor) -> Tensor:
        """(..., inputs) to (..., outputs)."""
        if input.device.type != "cpu" or self.backward_dtype == input.dtype:
            return super().forward(input)
        result: Tensor = _Linear.apply(  # type: ignore[no-untyped-call]
            input, self.weight, self.bias, self.backward_dtype
        )
        return result


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor, bias: Tensor, dtype: torch.dtype
    ) -> Tensor:
        ctx.save_for_backward(values, weight)
        ctx.dtype = dtype
        return linear(values, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        values, weight = ctx.saved_tensors
        rows = grad.reshape(-1, grad.shape[-1])
        half = rows.to(ctx.dtype)
        to_values = (half @ weight.to(ctx.dtype)).to(grad.dtype).view_as(values)
        to_weight = half.T @ values.reshape(len(rows), -1).to(ctx.dtype)
        return to_values, to_weight.to(grad.dtype), rows.sum(dim=0), None
