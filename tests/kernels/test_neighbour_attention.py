from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.kernels import neighbour_attention_reference
from cryoparts.kernels.neighbour_attention import neighbour_attention
from cryoparts.kernels.neighbour_attention_reference import neighbour_attention_definition

NAMES = ("q", "k", "v", "position_logits", "position_values", "gamma_weight", "gamma_bias")
BACKENDS = ("reference", "cpu")

sizes = st.fixed_dictionaries(
    {
        "batch": st.integers(0, 4),
        "points": st.integers(1, 40),
        "degree": st.integers(1, 19),
        "width": st.integers(1, 35),
        "groups": st.integers(1, 18),
        "group_size": st.sampled_from([1, 2, 3, 8, 16, 17]),
    }
)


def example(
    *, seed=0, batch=3, points=20, degree=16, width=24, groups=4, group_size=8, dtype=torch.float32
):
    """Random arguments in steps of 1/256.

    q - k + position_logits is then exact in float32: the ReLU opens for the same
    pairs in every precision, and is hit at exactly zero now and then.
    """
    random = torch.Generator().manual_seed(seed)

    def tensor(*shape, scale=1.0):
        steps = torch.randn(*shape, generator=random, dtype=torch.float64) * 256 * scale
        return (steps.round() / 256).to(dtype)

    channels = groups * group_size
    arguments = [
        tensor(batch, points, width),
        tensor(batch, points, width),
        tensor(batch, points, channels),
        tensor(points, degree, width),
        tensor(points, degree, channels),
        tensor(groups, width, scale=width**-0.5),
        tensor(groups),
    ]
    neighbours = torch.randint(points, (points, degree), generator=random)
    return arguments, neighbours, tensor(batch, points, channels)


def run(arguments, neighbours, cotangent, backend):
    """The output and the gradient of every argument."""
    leaves = [x.detach().clone().requires_grad_() for x in arguments]
    out = neighbour_attention(*leaves, neighbours, backend=backend)
    return out.detach(), torch.autograd.grad(out, leaves, cotangent)


def largest(tensor):
    return tensor.abs().max().item() if tensor.numel() else 0.0


def assert_near(actual, expected, scale, name):
    """Float32 sums of a few hundred terms of size ``scale``: well within 2e-5 of it."""
    assert actual.shape == expected.shape, name
    error = largest(actual.double() - expected.double())
    assert error <= 2e-5 * scale, f"{name} is {error / scale:.1e} of its scale off"


@settings(deadline=None, max_examples=60)
@given(shape=sizes, seed=st.integers(0, 10**6))
def test_kernel_equals_the_definition_in_float64(shape, seed):
    arguments, neighbours, cotangent = example(seed=seed, **shape)
    out, grads = run(arguments, neighbours, cotangent, "cpu")
    exact, exact_grads = run(
        [x.double() for x in arguments], neighbours, cotangent.double(), "reference"
    )
    assert out.dtype == torch.float32
    assert_near(out, exact, 1 + largest(exact), "out")
    for name, grad, expected in zip(NAMES, grads, exact_grads, strict=True):
        scale = largest(expected)
        if name == "gamma_bias":  # a shift of all logits changes nothing: the terms cancel
            assert scale < 1e-10
            scale = 4 * cotangent.abs().sum().item()
        assert_near(grad, expected, 1 + scale, name)


def test_sizes_of_the_default_network():
    arguments, neighbours, cotangent = example(
        batch=2, points=300, degree=16, width=64, groups=8, group_size=8
    )
    out, grads = run(arguments, neighbours, cotangent, "cpu")
    exact, exact_grads = run(
        [x.double() for x in arguments], neighbours, cotangent.double(), "reference"
    )
    assert_near(out, exact, largest(exact), "out")
    for name, grad, expected in zip(NAMES[:-1], grads, exact_grads, strict=False):
        assert_near(grad, expected, largest(expected), name)


def test_gradients_of_the_definition_are_the_slopes_of_its_values():
    arguments, neighbours, _ = example(
        batch=2, points=5, degree=3, width=4, groups=2, group_size=2, dtype=torch.float64
    )
    # away from the ReLU's kink, where the slopes are one-sided
    leaves = [(x + 1e-3 * (i + 1)).requires_grad_() for i, x in enumerate(arguments)]
    assert torch.autograd.gradcheck(
        lambda *tensors: neighbour_attention(*tensors, neighbours), leaves
    )


def test_a_few_particles_at_a_time_equal_all_together(monkeypatch):
    arguments, neighbours, cotangent = example(batch=5, dtype=torch.float64)
    leaves = [x.clone().requires_grad_() for x in arguments]
    together = neighbour_attention_definition(*leaves, neighbours)
    gradients = torch.autograd.grad(together, leaves, cotangent)
    monkeypatch.setattr(neighbour_attention_reference, "PAIR_ELEMENTS_PER_CHUNK", 2 * 20 * 16 * 32)
    out, chunked = run(arguments, neighbours, cotangent, "reference")
    torch.testing.assert_close(out, together)
    torch.testing.assert_close(chunked, gradients)


@pytest.mark.parametrize("backend", BACKENDS)
def test_weights_sum_to_one(backend):
    arguments, neighbours, _ = example()
    everywhere = torch.arange(32.0)
    arguments[2] = everywhere.expand_as(arguments[2])
    arguments[4] = torch.zeros_like(arguments[4])
    out = neighbour_attention(*arguments, neighbours, backend=backend)
    torch.testing.assert_close(out, everywhere.expand_as(out), rtol=1e-6, atol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_order_of_the_neighbours_does_not_matter(backend):
    arguments, neighbours, cotangent = example()
    random = torch.Generator().manual_seed(1)
    shuffled = torch.stack([torch.randperm(16, generator=random) for _ in range(20)])

    def shuffle(x):
        return x.gather(1, shuffled.reshape(20, 16, *[1] * (x.dim() - 2)).expand(x.shape))

    out, grads = run(arguments, neighbours, cotangent, backend)
    for slot in (3, 4):
        arguments[slot] = shuffle(arguments[slot])
    again, grads_again = run(arguments, shuffle(neighbours), cotangent, backend)
    torch.testing.assert_close(again, out, rtol=1e-4, atol=1e-5)
    for slot, (grad, expected) in enumerate(zip(grads_again, grads, strict=True)):
        wanted = shuffle(expected) if slot in (3, 4) else expected
        assert_near(grad, wanted, 10 + largest(wanted), NAMES[slot])


@pytest.mark.parametrize("backend", BACKENDS)
def test_points_can_be_renamed(backend):
    arguments, neighbours, _ = example(points=50)
    out = neighbour_attention(*arguments, neighbours, backend=backend)
    new = torch.randperm(
        50, generator=torch.Generator().manual_seed(1)
    )  # the point at row i of the new arrays was new[i]
    old = torch.argsort(new)
    renamed = [x[:, new] for x in arguments[:3]] + [x[new] for x in arguments[3:5]]
    again = neighbour_attention(*renamed, *arguments[5:], old[neighbours[new]], backend=backend)
    torch.testing.assert_close(again, out[:, new], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_repeated_neighbour_counts_as_often_as_it_is_named(backend):
    arguments, _, _ = example(points=2, degree=3)
    arguments[3] = torch.zeros_like(arguments[3])
    arguments[4] = torch.zeros_like(arguments[4])
    out = neighbour_attention(*arguments, torch.tensor([[0, 1, 1], [1, 1, 1]]), backend=backend)
    q, k, v, *_, weight, bias = arguments
    logits = [torch.relu(q[:, 0] - k[:, j]) @ weight.T + bias for j in (0, 1)]
    share = torch.sigmoid(logits[0] - logits[1] - torch.log(torch.tensor(2.0)))
    share = share.repeat_interleave(8, dim=-1)
    torch.testing.assert_close(out[:, 0], share * v[:, 0] + (1 - share) * v[:, 1])
    torch.testing.assert_close(out[:, 1], v[:, 1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_neighbours_matter(backend):
    arguments, _, cotangent = example()
    neighbours = (torch.arange(20)[:, None] + torch.arange(16)) % 20  # i ... i + 15
    cotangent[:, 1:] = 0
    _, grads = run(arguments, neighbours, cotangent, backend)
    for name, grad in zip(NAMES[:3], grads, strict=False):
        touched = grad.abs().sum(dim=(0, 2)) > 0
        expected = torch.arange(20) < (1 if name == "q" else 16)
        assert torch.equal(touched, expected), name
    assert not grads[3][1:].any()
    assert not grads[4][1:].any()


def test_large_logits_do_not_overflow():
    arguments, neighbours, cotangent = example()
    arguments[5] = arguments[5] * 1000
    out, grads = run(arguments, neighbours, cotangent, "cpu")
    exact, _ = run([x.double() for x in arguments], neighbours, cotangent.double(), "reference")
    assert all(grad.isfinite().all() for grad in grads)
    # a logit of 1e3 carries an error of 1e-4, and the weights carry it on
    torch.testing.assert_close(out.double(), exact, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_not_a_number_shows_where_it_was_and_nowhere_else(backend):
    arguments, neighbours, _ = example()
    for tensor in arguments[:3]:
        poisoned = list(arguments)
        at = next(i for i, x in enumerate(arguments) if x is tensor)
        poisoned[at] = tensor.clone()
        poisoned[at][1, neighbours[4, 2]] = torch.nan
        out = neighbour_attention(*poisoned, neighbours, backend=backend)
        assert out[1].isnan().any()
        assert not out[[0, 2]].isnan().any()


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_repeat_to_the_bit(threads):
    arguments, neighbours, cotangent = example(batch=13, points=70)
    before = torch.get_num_threads()
    one = run(arguments, neighbours, cotangent, "cpu")
    try:
        torch.set_num_threads(threads)
        first = run(arguments, neighbours, cotangent, "cpu")
        second = run(arguments, neighbours, cotangent, "cpu")
    finally:
        torch.set_num_threads(before)
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))
    assert torch.equal(first[0], one[0])
    # what belongs to one particle does not depend on the number of threads at all
    assert all(torch.equal(a, b) for a, b in zip(first[1][:3], one[1][:3], strict=True))
    for name, grad, expected in zip(NAMES[3:], first[1][3:], one[1][3:], strict=True):
        assert_near(grad, expected, 100 + largest(expected), name)


def test_memory_layout_does_not_matter_and_no_argument_changes():
    arguments, neighbours, cotangent = example()
    expected, grads = run(arguments, neighbours, cotangent, "cpu")
    strided = [torch.stack([x, x], dim=-1)[..., 0] for x in arguments]
    strided[0] = arguments[0].transpose(0, 1).contiguous().transpose(0, 1)
    strange = torch.stack([neighbours, neighbours], dim=-1)[..., 0]
    assert not any(x.is_contiguous() for x in (*strided, strange))
    copies = [x.clone() for x in (*strided, strange, cotangent)]
    leaves = [x.detach().requires_grad_() for x in strided]
    out = neighbour_attention(*leaves, strange, backend="cpu")
    wide = cotangent.transpose(1, 2).contiguous().transpose(1, 2)
    again = torch.autograd.grad(out, leaves, wide)
    assert torch.equal(out, expected)
    assert all(torch.equal(a, b) for a, b in zip(again, grads, strict=True))
    for after, before in zip((*strided, strange, cotangent), copies, strict=True):
        assert torch.equal(after, before)


def test_nothing_of_the_size_of_the_pairs_is_kept_for_the_backward_pass():
    arguments, neighbours, _ = example(batch=40, points=64, width=32)
    kept = []

    def pack(tensor):
        kept.append(tensor.numel())
        return tensor

    leaves = [x.requires_grad_() for x in arguments]
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        neighbour_attention(*leaves, neighbours, backend="cpu")
    assert max(kept) <= 40 * 64 * 32 < 40 * 64 * 16 * 32


def test_precision_and_device_choose_the_backend():
    arguments, neighbours, _ = example(dtype=torch.float64)
    assert neighbour_attention(*arguments, neighbours).dtype == torch.float64
    with pytest.raises(ValueError, match="float32"):
        neighbour_attention(*arguments, neighbours, backend="cpu")
    halves = [x.bfloat16() for x in arguments]
    out = neighbour_attention(*halves, neighbours)
    assert out.dtype == torch.float32
    assert torch.equal(out, neighbour_attention(*[x.float() for x in halves], neighbours))


@pytest.mark.parametrize("backend", BACKENDS)
def test_mistakes_are_refused(backend):
    arguments, neighbours, _ = example()
    for slot in range(1, 7):
        wrong = list(arguments)
        wrong[slot] = wrong[slot][..., :-1]
        with pytest.raises(ValueError, match=r"shape|divide"):
            neighbour_attention(*wrong, neighbours, backend=backend)
    for value in (-1, 20):
        astray = neighbours.clone()
        astray[3, 1] = value
        with pytest.raises(ValueError, match=r"0\.\.19"):
            neighbour_attention(*arguments, astray, backend=backend)
    with pytest.raises(ValueError, match="int64"):
        neighbour_attention(*arguments, neighbours.int(), backend=backend)
    with pytest.raises(ValueError, match="divide"):
        neighbour_attention(
            *arguments[:5], arguments[5][:3], arguments[6][:3], neighbours, backend=backend
        )
    nobody = [*arguments[:3], arguments[3][:, :0], arguments[4][:, :0], *arguments[5:]]
    with pytest.raises(ValueError, match="at least one"):
        neighbour_attention(*nobody, neighbours[:, :0], backend=backend)
    with pytest.raises(ValueError, match="backend"):
        neighbour_attention(*arguments, neighbours, backend="abacus")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_reference_on_cuda_equals_the_processor():
    arguments, neighbours, cotangent = example()
    expected, grads = run(arguments, neighbours, cotangent, "cpu")
    moved = [x.cuda() for x in arguments]
    out, again = run(moved, neighbours.cuda(), cotangent.cuda(), "auto")
    assert_near(out.cpu(), expected, 1 + largest(expected), "out")
    for name, grad, wanted in zip(NAMES, again, grads, strict=True):
        assert_near(grad.cpu(), wanted, 100 + largest(wanted), name)
