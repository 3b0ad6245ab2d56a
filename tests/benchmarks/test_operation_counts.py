from __future__ import annotations

import numpy as np
import operation_counts as counts
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from cryoparts.gaussians.point_hierarchy import build_hierarchy
from cryoparts.kernels.splat_gaussian import half_support
from cryoparts.networks.encoder import Encoder
from cryoparts.networks.mlp_decoder import MlpDecoder
from cryoparts.networks.point_transformer_decoder import PointTransformerDecoder
from cryoparts.published.paper_point_transformer import PaperPointTransformerDecoder


def networks():
    positions = np.random.default_rng(0).uniform(-50, 50, size=(70, 3))
    spacing = build_hierarchy(positions, level_sizes=(4, 8, 16))
    paper = build_hierarchy(
        positions, level_sizes=(2, 4), neighbours=3, weights="paper", box_size_angstrom=160.0
    )
    latent = torch.randn(2, 5).requires_grad_()
    return {
        "encoder": (Encoder(40, 5), torch.randn(2, 40)),
        "mlp": (MlpDecoder(5, 70, 4, hidden=32), latent),
        "point transformer": (PointTransformerDecoder(5, spacing, 4), latent),
        "paper": (PaperPointTransformerDecoder(5, paper, 4, 160.0), latent),
    }


@pytest.mark.parametrize("name", ["encoder", "mlp", "point transformer", "paper"])
def test_matrix_products_are_counted_as_torch_counts_them(name):
    network, argument = networks()[name]
    with FlopCounterMode(display=False) as expected:
        with counts.MatrixProducts() as forward:
            out = network(argument)
        of_forward = expected.get_total_flops()
        with counts.MatrixProducts() as backward:
            out.sum().backward()
    assert forward.work.operations == of_forward > 0
    products = backward.work.operations + backward.work.half_operations
    assert products == expected.get_total_flops() - of_forward > 0
    weights = sum(p.numel() * p.element_size() for p in network.parameters() if p.dim() == 2)
    assert min(forward.work.bytes, backward.work.bytes) >= 0.5 * weights


def test_work_grows_with_what_it_is_done_on():
    for forward, backward in (
        counts.attention_work(2, 100, 16, 64, 64, 8),
        counts.interpolation_work(2, 100, 30, 8, 64),
        counts.splat_work(2, 64, np.full(50, 8.0), per_particle_arrays=4),
    ):
        assert 0 < forward.operations <= backward.operations
        assert 0 < forward.bytes <= backward.bytes
    once, twice = (counts.attention_work(n, 100, 16, 64, 64, 8)[0].operations for n in (3, 6))
    assert twice == 2 * once
    sparse, full = (
        counts.pair_attention_work(2, 100, 16, 64, (share, share), torch.bfloat16)
        for share in (0.5, 1.0)
    )
    assert full[1].half_operations == 2 * sparse[1].half_operations == 8 * 2 * 1600 * 64**2
    assert full[0].operations - sparse[0].operations == 2 * 2 * 1600 * 64**2
    assert counts.transform_work(1, 128).operations > 4 * counts.transform_work(1, 64).operations


def test_support_is_the_kernels_own():
    widths = np.array([1.0, 1.3, 2.0, 7.5], dtype=np.float32)
    expected = [2 * half_support.py_func(width) for width in widths]
    assert counts.support_of(widths).tolist() == expected
    assert counts.support_of(widths / 2)[0] == expected[0]  # widened to one pixel
