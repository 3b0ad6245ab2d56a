"""The compiled pairwise attention against its definition in plain torch."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.published import pair_attention as module
from cryoparts.published.pair_attention import pair_attention, pair_attention_fits

NAMES = ("q", "k", "v", "encoding", "weight", "w1", "b1", "w2", "b2")


def definition(q, k, v, encoding, weight, w1, b1, w2, b2, neighbours):
    delta = encoding @ weight.T
    hidden = torch.relu(torch.relu(q[:, :, None] - k[:, neighbours] + delta) @ w1.T + b1)
    softmax = (hidden @ w2.T + b2).softmax(dim=2)
    return (softmax * (v[:, neighbours] + delta)).sum(dim=2)


def example(batch, points, degree, width, seed=0):
    """Tensors of order 1, their logits too, and neighbours with repetitions."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape, scale=1.0):
        return (scale * torch.randn(shape, generator=random)).requires_grad_()

    tensors = [normal(batch, points, width) for _ in range(3)]
    tensors += [normal(points, degree, 3), normal(width, 3, scale=0.5)]
    for _ in range(2):
        tensors += [normal(width, width, scale=width**-0.5), normal(width)]
    return tensors, torch.randint(points, (points, degree), generator=random)


def both(tensors, neighbours, dtype):
    """Values and gradients: ours, then the definition's."""
    results = []
    for out in (
        pair_attention(*tensors, neighbours, backward_dtype=dtype),
        definition(*tensors, neighbours),
    ):
        cotangent = torch.linspace(-1, 1, out.numel()).sin().view_as(out) + 0.3
        results.append((out.detach(), torch.autograd.grad(out, tensors, cotangent)))
    return results


def error(ours, theirs):
    return float((ours - theirs).norm() / theirs.norm().clamp_min(1e-30))


@settings(deadline=None, max_examples=12)
@given(
    batch=st.integers(1, 3),
    points=st.integers(1, 9),
    degree=st.integers(1, 40),
    vectors=st.integers(1, 3),
    threads=st.sampled_from([1, 2]),
    seed=st.integers(0, 99),
)
def test_values_and_float32_gradients_equal_the_definitions(
    batch, points, degree, vectors, threads, seed
):
    tensors, neighbours = example(batch, points, degree, 16 * vectors, seed)
    before, given_tensors = torch.get_num_threads(), [x.detach().clone() for x in tensors]
    torch.set_num_threads(threads)
    try:
        ours, theirs = both(tensors, neighbours, torch.float32)
    finally:
        torch.set_num_threads(before)
    assert error(ours[0], theirs[0]) < 1e-5
    largest = max(float(x.norm()) for x in theirs[1])
    for name, mine, other in zip(NAMES, ours[1], theirs[1], strict=True):
        assert float((mine - other).norm()) < 1e-4 * float(other.norm()) + 1e-6 * largest, name
    assert all(torch.equal(x, y) for x, y in zip(tensors, given_tensors, strict=True))


@pytest.mark.parametrize("degree", [4, 20])
def test_several_tiles_give_what_one_gives(degree, monkeypatch):
    tensors, neighbours = example(2, 11, degree, 32)
    for points in (1, 5):
        monkeypatch.setattr("cryoparts.published.pair_attention_memory.POINTS_A_TILE", points)
        ours, theirs = both(tensors, neighbours, torch.float32)
        assert error(ours[0], theirs[0]) < 1e-5
        assert all(error(x, y) < 1e-4 for x, y in zip(ours[1][:8], theirs[1][:8], strict=True))


@pytest.mark.parametrize("width", [48, 64])
def test_bfloat16_changes_gradients_by_a_hundredth_at_most_and_values_not(width):
    tensors, neighbours = example(2, 40, 8, width)
    ours, theirs = both(tensors, neighbours, torch.bfloat16)
    assert error(ours[0], theirs[0]) < 1e-5
    for name, mine, other in zip(NAMES[:8], ours[1][:8], theirs[1][:8], strict=True):
        assert error(mine, other) < 1e-2, name
        cosine = torch.cosine_similarity(mine.flatten(), other.flatten(), dim=0)
        assert cosine > 0.999, name
    assert not ours[1][8].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_not_kept_is_computed_again(dtype, monkeypatch):
    tensors, neighbours = example(3, 12, 4, 32)
    kept, _ = both(tensors, neighbours, dtype)
    monkeypatch.setattr(module, "KEPT_BYTES", 2 * 12 * 4 * 32 * dtype.itemsize)  # one of three
    again, _ = both(tensors, neighbours, dtype)
    assert all(torch.equal(x, y) for x, y in zip(kept[1], again[1], strict=True))


def test_no_particle_and_a_number_that_is_none():
    tensors, neighbours = example(0, 5, 3, 16)
    assert pair_attention(*tensors, neighbours).shape == (0, 5, 16)
    for dtype in (torch.float32, torch.bfloat16):
        tensors, neighbours = example(1, 5, 3, 16)
        neighbours[:] = torch.arange(5)[:, None]
        with torch.no_grad():
            tensors[0][0, 2] = float("nan")
        out = pair_attention(*tensors, neighbours, backward_dtype=dtype)
        assert torch.equal(
            out.isnan().any(dim=2), torch.tensor([[False, False, True, False, False]])
        )
        grad = torch.autograd.grad(out.sum(), tensors[2])[0]
        assert torch.equal(grad.isnan().any(dim=2), out.isnan().any(dim=2))


def test_what_does_not_fit_is_refused():
    tensors, neighbours = example(1, 5, 3, 16)
    with pytest.raises(ValueError, match="neighbours must lie"):
        pair_attention(*tensors, neighbours + 5)
    with pytest.raises(ValueError, match="at least one neighbour"):
        pair_attention(*tensors, neighbours[:, :0])
    assert not pair_attention_fits(tensors[0].double())
    with pytest.raises(ValueError, match="float32"):
        pair_attention(tensors[0][..., :8], *tensors[1:], neighbours)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_channels_that_are_off_for_all_or_all_but_one_neighbour(dtype):
    tensors, neighbours = example(1, 6, 5, 32)
    q, k, b1 = tensors[0], tensors[1], tensors[6]
    neighbours[0] = torch.arange(5)
    with torch.no_grad():
        q[..., :20] -= 100  # off for every pair
        k[0, 5, :8] -= 500  # but for those with point 5
        b1[4:] -= 100
    neighbours[1] = torch.tensor([5, 0, 1, 2, 3])
    ours, theirs = both(tensors, neighbours, dtype)
    assert error(ours[0], theirs[0]) < 1e-5
    bound = 1e-4 if dtype == torch.float32 else 2e-2
    for name, mine, other in zip(NAMES[:8], ours[1], theirs[1], strict=False):
        assert error(mine, other) < bound, name
    assert not ours[1][0][..., 8:20].any()
    # every channel off: the logits are the same for all neighbours
    with torch.no_grad():
        q -= 1000
    ours, theirs = both(tensors, neighbours, dtype)
    assert error(ours[0], theirs[0]) < 1e-5
    assert not ours[1][0].any()
    assert error(ours[1][2], theirs[1][2]) < bound


def test_a_batch_is_the_same_for_any_number_of_threads():
    tensors, neighbours = example(5, 9, 4, 32)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 3):
            torch.set_num_threads(threads)
            results.append(both(tensors, neighbours, torch.float32)[0])
    finally:
        torch.set_num_threads(before)
    for out, grads in results[1:]:
        assert torch.equal(out, results[0][0])
        # sums over particles are in another order
        assert all(error(x, y) < 1e-5 for x, y in zip(grads[:8], results[0][1][:8], strict=True))
    assert all(torch.equal(x, y) for x, y in zip(results[2][1], results[3][1], strict=True))
