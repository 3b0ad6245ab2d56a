from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cryoparts.kernels.processor import Processor, processor, target

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"


@pytest.mark.parametrize(
    ("triple", "features", "lanes", "registers", "bfloat16"),
    [
        (X86, "+avx,+avx2,+avx512bf16,+avx512f,+fma", 16, 32, True),
        (X86, "+avx,+avx2,-avx512bf16,+avx512f", 16, 32, False),
        (X86, "+avx,+avx2,-avx512bf16,-avx512f", 8, 16, False),
        # bfloat16 on half vectors (AVX10 of 256 bits) is not what the kernels use
        (X86, "+avx,+avx2,+avx512bf16,-avx512f", 8, 16, False),
        (X86, "-avx,+sse4.2", 4, 16, False),
        (X86, "", 4, 16, False),
        (ARM, "+neon,+bf16,+sve", 4, 32, False),
        ("arm64-apple-darwin23.0.0", "", 4, 32, False),
    ],
)
def test_width_follows_the_features(triple, features, lanes, registers, bfloat16):
    assert Processor.of(triple, features) == Processor(lanes, registers, bfloat16)


def test_the_last_word_on_a_feature_counts():
    assert Processor.of(X86, "+avx,+avx512f, -avx512f").float_lanes == 8


@pytest.mark.parametrize(
    ("one", "lanes", "vectors"),
    [
        (Processor(16, 32, False), 16, 24),
        (Processor(8, 16, False), 16, 6),
        (Processor(8, 16, False), 8, 12),
        (Processor(4, 32, False), 16, 6),
        (Processor(4, 16, False), 16, 3),
        (Processor(4, 16, False), 64, 1),
    ],
)
def test_sums_fit_the_registers_beside_what_is_multiplied(one, lanes, vectors):
    assert one.vectors_at_once(lanes) == vectors
    assert vectors * lanes < one.registers * one.float_lanes or vectors == 1


def test_numba_told_to_leave_avx512_out_is_believed():
    code = "from cryoparts.kernels.processor import processor; print(processor())"
    told = {"NUMBA_CPU_FEATURES": "+sse2,+avx,+avx2,-avx512f"}
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, env=os.environ | told, text=True, capture_output=True)
    if target()[0].startswith("x86_64"):
        assert said.stdout.strip() == str(Processor(8, 16, multiplies_bfloat16=False))
    assert processor() == Processor.of(target()[0], target()[2])
