"""The fused GPU kernels: on a CUDA device where there is one, else in Triton's interpreter."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from cryoparts.kernels import neighbour_attention as dispatch
from cryoparts.kernels.neighbour_attention import neighbour_attention
from fused_attention import CASES, NAMES, errors, example
from own_python import in_python

SUPPORT = Path(__file__).parents[1] / "support"

needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="Triton is not installed: pip install 'cryoparts[gpu]'"
)

COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from cryoparts.kernels import neighbour_attention_triton as kernels

sizes = dict(degree=16, width=64, groups=16, size=4)
sizes |= dict(degree_2=16, width_2=64, groups_2=16, size_2=4, pairs_2=16)
kinds = dict.fromkeys(("neighbours", "pairs", "pair_starts"), "*i64")
kinds |= dict.fromkeys(("batch", "points", "particles_a_program"), "i32")
for kernel in (kernels.forward_kernel, kernels.backward_kernel, kernels.source_kernel):
    names = kernel.arg_names
    fixed = {(names.index(name),): size for name, size in sizes.items() if name in names}
    types = {n: "constexpr" if n in sizes else kinds.get(n, "*fp32") for n in names}
    source = ASTSource(kernel, types, fixed)
    made = compile(source, target=GPUTarget("cuda", 80, 32), options={"enable_fp_fusion": True})
    print(made.metadata.shared)
"""


@pytest.fixture(scope="module")
def found():
    """Errors of each case and quantity."""
    if torch.cuda.is_available():
        return {name: errors(name, "cuda") for name in CASES}
    return json.loads(in_python(str(SUPPORT / "fused_attention.py"), TRITON_INTERPRET="1"))


@needs_triton
@pytest.mark.parametrize("case", CASES)
def test_fused_kernels_equal_the_definition_in_float64(found, case):
    assert found[case].keys() == {"out", *NAMES, "repeats"}
    astray = {name: error for name, error in found[case].items() if not error <= 2e-6}
    assert not astray


@needs_triton
def test_kernels_compile_for_a_device_and_fit_its_shared_memory(tmp_path):
    shared = in_python("-c", COMPILE, TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))
    assert all(int(size) <= 48 * 1024 for size in shared.split())
    assert len(shared.split()) == 3


@needs_triton
def test_layers_too_wide_for_the_kernels_are_told_apart():
    from cryoparts.kernels.neighbour_attention_gpu import gpu_kernel_fits

    assert gpu_kernel_fits(width=64, channels=64, groups=8, degree=16)
    assert gpu_kernel_fits(width=64, channels=64, groups=1, degree=16)
    assert gpu_kernel_fits(width=128, channels=256, groups=16, degree=16)
    assert not gpu_kernel_fits(width=512, channels=512, groups=512, degree=16)


@pytest.fixture
def small():
    return example(batch=2, points=4, degree=3, width=8, groups=2, group_size=4, named=4)


def test_gpu_backend_without_triton_names_the_cure(small, monkeypatch):
    arguments, neighbours, _ = small
    monkeypatch.setattr(dispatch, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install triton"):
        neighbour_attention(*arguments, neighbours, backend="gpu")


@needs_triton
def test_gpu_backend_refuses_what_it_cannot_compute(small):
    arguments, neighbours, _ = small
    with pytest.raises(ValueError, match="float32 tensors on"):
        neighbour_attention(*[x.double() for x in arguments], neighbours, backend="gpu")


@pytest.fixture
def on_cuda():
    """Arguments on a CUDA device that need not exist: shapes without numbers."""
    shapes = ((2, 4, 8), (2, 4, 8), (2, 4, 8), (4, 3, 8), (4, 3, 8), (2, 8), (2,))
    with FakeTensorMode():
        arguments = [torch.empty(shape, device="cuda") for shape in shapes]
        yield *arguments, torch.empty(4, 3, dtype=torch.int64, device="cuda")


def test_cuda_with_triton_takes_the_fused_kernels(on_cuda, monkeypatch):
    monkeypatch.setattr(dispatch, "find_spec", lambda name: name)
    monkeypatch.setattr(dispatch, "_sizes_fit_gpu", lambda tensors, neighbours: True)
    monkeypatch.setattr(dispatch, "_on_gpu", lambda tensors, neighbours: "fused")
    assert neighbour_attention(*on_cuda) == "fused"


def test_cuda_without_triton_takes_the_definition_and_says_so_once(on_cuda, monkeypatch, caplog):
    monkeypatch.setattr(dispatch, "find_spec", lambda name: None)
    monkeypatch.setattr(dispatch, "neighbour_attention_reference", lambda *arguments: "defined")
    dispatch.warn_slower.cache_clear()
    assert neighbour_attention(*on_cuda) == "defined"
    assert neighbour_attention(*on_cuda) == "defined"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Triton is not installed" in caplog.text
