"""Vector attention of points to their fixed neighbours, for a batch of particles.

The pairwise part of the Point Transformer layer (Zhao et al. 2020,
arXiv 2012.09164) with grouped weights (Point Transformer V2, Wu et al. 2022,
arXiv 2210.05666) and an attention MLP of one ReLU and one Dense layer, after
every Dense layer that can act on points rather than on pairs has been moved
out of it::

    logits[i,j,g] = sum_h gamma_weight[g,h] relu(q[i,h] - k[j,h] + position_logits[i,j,h])
                    + gamma_bias[g]
    w[i,j,g]      = softmax over the neighbours j of i
    out[i,c]      = sum_j w[i,j,g(c)] (v[j,c] + position_values[i,j,c]),  g(c) = c // (C / G)
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import torch

from cryoparts.kernels.launching import warn_slower
from cryoparts.kernels.neighbour_attention_cpu import CpuNeighbourAttention
from cryoparts.kernels.neighbour_attention_reference import neighbour_attention_reference

if TYPE_CHECKING:
    from torch import Tensor

Backend = Literal["auto", "reference", "cpu", "gpu"]
HALF_PRECISION = (torch.bfloat16, torch.float16)


def neighbour_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    position_logits: Tensor,
    position_values: Tensor,
    gamma_weight: Tensor,
    gamma_bias: Tensor,
    neighbours: Tensor,
    backend: Backend = "auto",
) -> Tensor:
    """Softmax-weighted sum of the neighbours' values (equation at the top of the module).

    Parameters
    ----------
    q, k : Tensor, shape (B, n, H)
        Queries and keys of n points for B particles.
    v : Tensor, shape (B, n, C)
        Values.
    position_logits : Tensor, shape (n, K, H)
        Position encoding of every point's K neighbours, added to q - k.
    position_values : Tensor, shape (n, K, C)
        Position encoding added to the values.
    gamma_weight : Tensor, shape (G, H)
        Last layer of the attention MLP; G divides C.
    gamma_bias : Tensor, shape (G,)
    neighbours : Tensor of int64, shape (n, K)
        Neighbours of each point; repetitions are allowed and count twice.
    backend : {"auto", "reference", "cpu", "gpu"}
        "auto" chooses by device and precision: the compiled kernel on the CPU,
        the Triton kernels on CUDA where Triton is installed; elsewhere, in float64
        and for layers too wide for the kernels the plain torch definition, a few
        particles at a time. Half-precision arguments are computed with in float32.

    Returns
    -------
    Tensor, shape (B, n, C)
        Differentiable, once, in every float argument. The kernels' results
        repeat to the bit, on the CPU for a given ``torch.get_num_threads()``.

    Raises
    ------
    ValueError
        If shapes or types do not fit together, or a neighbour is no point.
    """
    _check_shapes(q, k, v, position_logits, position_values, gamma_weight, gamma_bias, neighbours)
    tensors = (
        _at_least_single(q),
        _at_least_single(k),
        _at_least_single(v),
        _at_least_single(position_logits),
        _at_least_single(position_values),
        _at_least_single(gamma_weight),
        _at_least_single(gamma_bias),
    )
    if backend == "auto":
        backend = _best_backend(tensors, neighbours)
    if backend == "reference":
        return neighbour_attention_reference(*tensors, neighbours)
    if backend == "gpu":
        return _on_gpu(tensors, neighbours)
    if backend != "cpu":
        raise ValueError(f"no neighbour attention backend is called {backend!r}")
    if not _compiled_kernel_fits(tensors):
        raise ValueError("the cpu backend of neighbour attention takes float32 tensors on the CPU")
    out: Tensor = CpuNeighbourAttention.apply(*tensors, neighbours)  # type: ignore[no-untyped-call]
    return out


def _best_backend(tensors: tuple[Tensor, ...], neighbours: Tensor) -> Backend:
    if _compiled_kernel_fits(tensors):
        return "cpu"
    if not all(x.device.type == "cuda" and x.dtype == torch.float32 for x in tensors):
        return "reference"
    if find_spec("triton") is None:
        warn_slower("neighbour attention runs", "Triton is not installed (pip install triton)")
        return "reference"
    if not _sizes_fit_gpu(tensors, neighbours):
        warn_slower("neighbour attention runs", "the layer is too wide for the fused kernels")
        return "reference"
    return "gpu"


def _on_gpu(tensors: tuple[Tensor, ...], neighbours: Tensor) -> Tensor:
    if find_spec("triton") is None:
        raise ValueError("the gpu backend of neighbour attention needs Triton: pip install triton")
    # Triton is optional and takes long to import.
    from cryoparts.kernels.neighbour_attention_gpu import DEVICE, gpu_neighbour_attention

    q, k, v, position_logits, position_values, gamma_weight, gamma_bias = tensors
    fits = all(x.device.type == DEVICE and x.dtype == torch.float32 for x in tensors)
    if not fits or not _sizes_fit_gpu(tensors, neighbours):
        raise ValueError(
            f"the gpu backend of neighbour attention takes float32 tensors on {DEVICE} "
            "and layers that are not too wide"
        )
    return gpu_neighbour_attention(
        q, k, v, position_logits, position_values, gamma_weight, gamma_bias, neighbours
    )


def _sizes_fit_gpu(tensors: tuple[Tensor, ...], neighbours: Tensor) -> bool:
    from cryoparts.kernels.neighbour_attention_gpu import gpu_kernel_fits

    q, _, v, *_, bias = tensors
    return gpu_kernel_fits(q.shape[-1], v.shape[-1], len(bias), neighbours.shape[1])


def _at_least_single(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in HALF_PRECISION else tensor


def _compiled_kernel_fits(tensors: tuple[Tensor, ...]) -> bool:
    return all(x.device.type == "cpu" and x.dtype == torch.float32 for x in tensors)


def _check_shapes(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    position_logits: Tensor,
    position_values: Tensor,
    gamma_weight: Tensor,
    gamma_bias: Tensor,
    neighbours: Tensor,
) -> None:
    batch, points, width = q.shape
    channels = v.shape[-1]
    groups = gamma_weight.shape[0]
    count = neighbours.shape[-1]
    expected = {
        "k": (k, (batch, points, width)),
        "v": (v, (batch, points, channels)),
        "position_logits": (position_logits, (points, count, width)),
        "position_values": (position_values, (points, count, channels)),
        "gamma_weight": (gamma_weight, (groups, width)),
        "gamma_bias": (gamma_bias, (groups,)),
        "neighbours": (neighbours, (points, count)),
    }
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, it should have {shape}")
    if groups == 0 or channels % groups:
        raise ValueError(f"{groups} groups do not divide {channels} channels")
    if count == 0:
        raise ValueError("every point needs at least one neighbour")
    if neighbours.dtype != torch.int64:
        raise ValueError(f"neighbours must be int64, they are {neighbours.dtype}")
    # other devices check while they gather; reading the indices back would make them wait
    here = neighbours.device.type == "cpu" and points > 0
    if here and (int(neighbours.min()) < 0 or int(neighbours.max()) >= points):
        raise ValueError(f"neighbours must lie in 0..{points - 1}")
