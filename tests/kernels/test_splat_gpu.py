"""The splat's GPU kernels: on a CUDA device where there is one, else in Triton's interpreter."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

import fused_splat
from cryoparts.kernels import splat as dispatch
from cryoparts.kernels.splat import splat_rotated
from own_python import in_python

SUPPORT = Path(__file__).parents[1] / "support"

needs_triton = pytest.mark.skipif(
    find_spec("triton") is None, reason="Triton is not installed: pip install 'cryoparts[gpu]'"
)

COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from cryoparts.kernels import splat_gpu as launcher, splat_triton as kernels

fixed = {"cutoff_sigmas": 5.0, "cutoff_pixels": 1.01, "widest_in_boxes": 2.0}
fixed |= dict(tile=launcher.TILE, block=launcher.BLOCK, columns=launcher.COLUMNS)
whole = ("position_stride", "amplitude_stride", "width_stride", "count", "n_gaussians",
         "blocks_a_run", "box")
kinds = dict.fromkeys(whole, "i32") | {"origin": "fp32"}
for kernel, only in ((kernels.forward_kernel, False), (kernels.backward_kernel, False),
                     (kernels.backward_kernel, True)):
    sizes, names = fixed | {"amplitudes_only": only}, kernel.arg_names
    values = {(names.index(name),): size for name, size in sizes.items() if name in names}
    types = {n: "constexpr" if n in sizes else kinds.get(n, "*fp32") for n in names}
    source = ASTSource(kernel, types, values)
    made = compile(source, target=GPUTarget("cuda", 80, 32), options={"enable_fp_fusion": True})
    print(made.metadata.shared, "atom" in made.asm["ptx"] or "red.global" in made.asm["ptx"])
"""


@needs_triton
def test_the_kernels_equal_the_definition():
    if torch.cuda.is_available():
        for law in fused_splat.LAWS.values():
            law("cuda")
    else:
        in_python(str(SUPPORT / "fused_splat.py"), TRITON_INTERPRET="1")


@needs_triton
def test_the_kernels_compile_for_a_device_without_atomics_and_fit_its_shared_memory(tmp_path):
    lines = in_python("-c", COMPILE, TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))
    found = [line.split() for line in lines.splitlines()]
    assert len(found) == 3
    assert all(int(shared) <= 48 * 1024 and atomics == "False" for shared, atomics in found)


@pytest.fixture
def on_cuda():
    """Arguments on a CUDA device that need not exist: shapes without numbers."""
    with FakeTensorMode():
        yield [torch.empty(shape, device="cuda") for shape in ((5, 3), (2, 5), (5,), (2, 2, 3))]


def test_cuda_without_triton_takes_the_definition_and_says_so_once(on_cuda, monkeypatch, caplog):
    monkeypatch.setattr(dispatch, "find_spec", lambda name: None)
    monkeypatch.setattr(dispatch, "splat_reference", lambda *arguments: "defined")
    dispatch.warn_slower.cache_clear()
    for _ in range(2):
        assert splat_rotated(*on_cuda, 8, origin=0.0) == "defined"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Triton is not installed" in caplog.text


@needs_triton
def test_cuda_with_triton_takes_the_kernels_and_reads_nothing_back(on_cuda, monkeypatch):
    from cryoparts.kernels import splat_gpu

    monkeypatch.setattr(splat_gpu, "gpu_splat", lambda *arguments: "fused")
    assert splat_rotated(*on_cuda, 8, origin=0.0) == "fused"


def test_the_gpu_backend_names_what_it_lacks(monkeypatch):
    tensors = fused_splat.problem(2, 3, 8, (1.0, 1.0), (False, False, False), 1.0, 0)
    monkeypatch.setattr(dispatch, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install triton"):
        splat_rotated(*tensors, 8, origin=0.0, backend="gpu")


@needs_triton
def test_the_gpu_backend_refuses_other_precisions():
    tensors = fused_splat.problem(2, 3, 8, (1.0, 1.0), (False, False, False), 1.0, 0)
    with pytest.raises(ValueError, match="takes float32 tensors on"):
        splat_rotated(*[t.double() for t in tensors], 8, origin=0.0, backend="gpu")
