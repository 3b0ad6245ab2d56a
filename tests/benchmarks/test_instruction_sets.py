from __future__ import annotations

import instruction_sets
import pytest
from training_step_table import markdown

from cryoparts.kernels.processor import Processor

WIDE = "+amx-bf16,+amx-tile,+avx,+avx10.1,+avx2,+avx512bf16,+avx512f,+avx512vl,+fma,-sse4a"


def test_what_is_left_out_is_named_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.setattr(instruction_sets, "get_host_cpu_features", lambda: WIDE)
    told = instruction_sets.without_avx512(tmp_path)["NUMBA_CPU_FEATURES"]
    before, after = (Processor.of("x86_64-unknown-linux-gnu", f) for f in (WIDE, told))
    assert (before.float_lanes, before.multiplies_bfloat16) == (16, True)
    assert (after.float_lanes, after.multiplies_bfloat16) == (8, False)
    kept = {"+avx", "+avx2", "+fma", "-sse4a"}
    assert set(told.split(",")) & set(WIDE.split(",")) == kept


def test_a_worker_that_dies_is_an_error(tmp_path):
    (tmp_path / "run").mkdir()
    with (
        pytest.raises(RuntimeError, match="ended with"),
        instruction_sets.Worker(tmp_path / "run", {"PYTHONPATH": "/nowhere"}) as worker,
    ):
        worker.answer()


def test_ratios_are_of_turns_that_stood_side_by_side():
    built = {"float_lanes": 8, "torch": "AVX2"}
    limits = {"float32_operations_per_second": 2e9, "bfloat16_operations_per_second": 3e9}
    row = {
        "decoder": "mlp",
        "preset": "fast",
        "gaussians": 2048,
        "box": 64,
        "batch": 32,
        "threads": 1,
        "compiled_for": {"all": built, "without AVX-512": built | {"limits": limits}},
        # the machine was slow in the second turn
        "milliseconds_a_particle": {
            "all": {"whole step": [1.0, 10.0, 2.0]},
            "without AVX-512": {"whole step": [2.0, 30.0, 2.5]},
        },
    }
    machine = {
        "processor": "P",
        "cores": 2,
        "system": "S",
        "python": "3",
        "versions": {"torch": "1"},
    }
    text = markdown({"instructions": {"machine": machine, "command": "c", "rows": [row]}})
    assert "| whole step | 2.000 | 2.500 | 2.00 (1.25 to 3.00) |" in text
    assert "products of matrices in bfloat16 3 GFLOP/s" in text
    assert "3 turns" in text
