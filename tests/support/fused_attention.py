"""Neighbour attention by the fused GPU kernels against its definition, over many shapes.

Run as a program with TRITON_INTERPRET=1 it prints each case's errors as JSON: the
interpreter must be switched on before Triton is imported.
"""

from __future__ import annotations

import json
import sys

import torch

NAMES = ("q", "k", "v", "position_logits", "position_values", "gamma_weight", "gamma_bias")

CASES: dict[str, dict[str, int]] = {
    "sizes of the default network": {
        "batch": 2, "points": 3, "degree": 16, "width": 64, "groups": 8, "group_size": 8,
    },
    "more neighbours than points": {
        "batch": 2, "points": 3, "degree": 19, "width": 16, "groups": 4, "group_size": 4,
    },
    "one group": {
        "batch": 2, "points": 4, "degree": 5, "width": 16, "groups": 1, "group_size": 16,
    },
    "one group of a prime number of channels": {
        "batch": 2, "points": 4, "degree": 5, "width": 16, "groups": 1, "group_size": 7,
    },
    "no power of two": {
        "batch": 3, "points": 5, "degree": 3, "width": 11, "groups": 3, "group_size": 5,
    },
    "more groups than a tile": {
        "batch": 1, "points": 4, "degree": 4, "width": 9, "groups": 18, "group_size": 2,
    },
    "one number of everything": {
        "batch": 1, "points": 1, "degree": 1, "width": 1, "groups": 1, "group_size": 1,
    },
    "batch of one": {
        "batch": 1, "points": 6, "degree": 4, "width": 16, "groups": 2, "group_size": 8,
    },
    "empty batch": {
        "batch": 0, "points": 6, "degree": 4, "width": 16, "groups": 2, "group_size": 8,
    },
    "every neighbour the same": {
        "batch": 2, "points": 5, "degree": 4, "width": 16, "groups": 2, "group_size": 8,
        "named": 1,
    },
    "several runs and chunks, the last ones short": {
        "batch": 7, "points": 3, "degree": 3, "width": 8, "groups": 2, "group_size": 3,
        "programs": 6, "pair_numbers": 3 * (3 * 3 * 6),
    },
}  # fmt: skip


def example(
    *, batch: int, points: int, degree: int, width: int, groups: int, group_size: int, named: int
):
    """Arguments, neighbours (``named`` different ones at most) and an incoming gradient.

    Steps of 1/256 make q - k + position_logits exact, so that the ReLU opens for
    the same pairs in every precision.
    """
    random = torch.Generator().manual_seed(batch + 10 * points + 100 * width)

    def tensor(*shape: int) -> torch.Tensor:
        return (torch.randn(*shape, generator=random) * 256).round() / 256

    channels = groups * group_size
    arguments = [
        tensor(batch, points, width),
        tensor(batch, points, width),
        tensor(batch, points, channels),
        tensor(points, degree, width),
        tensor(points, degree, channels),
        tensor(groups, width) * width**-0.5,
        tensor(groups),
    ]
    neighbours = torch.randint(named, (points, degree), generator=random)
    return arguments, neighbours, tensor(batch, points, channels)


def results(arguments, neighbours, cotangent, device: str, backend: str):
    """The output and the gradient of every argument, on the processor."""
    from cryoparts.kernels.neighbour_attention import neighbour_attention

    leaves = [x.detach().clone().to(device).requires_grad_() for x in arguments]
    out = neighbour_attention(*leaves, neighbours.to(device), backend=backend)
    gradients = torch.autograd.grad(out, leaves, cotangent.to(device))
    return [x.detach().cpu() for x in (out, *gradients)]


def largest(tensor: torch.Tensor) -> float:
    """Largest magnitude, 0 of nothing."""
    return tensor.abs().max().item() if tensor.numel() else 0.0


def errors(name: str, device: str) -> dict[str, float]:
    """Largest error of the output and of each gradient, over the size of its terms.

    "repeats" is 0 where a second run gives the same bits.
    """
    from cryoparts.kernels import neighbour_attention_gpu as gpu

    sizes = {"named": CASES[name]["points"], **CASES[name]}
    limits = gpu.PROGRAMS, gpu.PAIR_NUMBERS_AT_A_TIME
    gpu.PROGRAMS = sizes.pop("programs", limits[0])
    gpu.PAIR_NUMBERS_AT_A_TIME = sizes.pop("pair_numbers", limits[1])
    arguments, neighbours, cotangent = example(**sizes)
    fused = results(arguments, neighbours, cotangent, device, "gpu")
    again = results(arguments, neighbours, cotangent, device, "gpu")
    gpu.PROGRAMS, gpu.PAIR_NUMBERS_AT_A_TIME = limits
    exact = results(
        [x.double() for x in arguments], neighbours, cotangent.double(), "cpu", "reference"
    )
    found = {}
    for label, value, wanted in zip(("out", *NAMES), fused, exact, strict=True):
        assert value.shape == wanted.shape, label
        assert value.dtype == torch.float32, label
        # The bias shifts all logits alike: its gradient is 0, the terms that cancel are not.
        scale = 1 + (cotangent.abs().sum() if label == "gamma_bias" else largest(wanted))
        found[label] = largest(value - wanted) / float(scale)
    same = all(torch.equal(a, b) for a, b in zip(fused, again, strict=True))
    return found | {"repeats": 0.0 if same else 1.0}


if __name__ == "__main__":
    torch.set_num_threads(1)
    json.dump({name: errors(name, "cpu") for name in CASES}, sys.stdout)
