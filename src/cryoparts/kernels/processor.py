"""The processor that the kernels are compiled for: how wide its vectors are, and how many.

Every choice of a kernel's width or blocking asks here. What counts is what numba
compiles for, which NUMBA_CPU_FEATURES changes, and not what the machine could do.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Self

from numba.core.registry import cpu_target


@dataclass(frozen=True)
class Processor:
    """What vectors a processor has.

    Attributes
    ----------
    float_lanes : int
        float32 in one of its registers: 16 (AVX-512), 8 (AVX), 4 (NEON, SSE).
    registers : int
        Vector registers that a kernel may name.
    multiplies_bfloat16 : bool
        Whether there is an instruction for products of bfloat16 on whole vectors.
    """

    float_lanes: int
    registers: int
    multiplies_bfloat16: bool

    @classmethod
    def of(cls, triple: str, features: str) -> Self:
        """From LLVM's names.

        Parameters
        ----------
        triple : str
            Of the target, as in "x86_64-unknown-linux-gnu".
        features : str
            As in "+avx2,-avx512f"; the last word on a feature counts.
        """
        words = [word.strip() for word in features.split(",")]
        has = {word[1:]: word[0] == "+" for word in words if word}
        wide = has.get("avx512f", False)
        arm = triple.split("-")[0] in ("aarch64", "arm64")
        return cls(
            float_lanes=16 if wide else 8 if has.get("avx", False) else 4,
            registers=32 if wide or arm else 16,
            multiplies_bfloat16=wide and has.get("avx512bf16", False),
        )

    def vectors_at_once(self, lanes: int) -> int:
        """Sums of `lanes` float32 that stay in registers beside what is multiplied."""
        return max(1, self.registers * 3 // 4 * self.float_lanes // lanes)


@cache
def target() -> tuple[str, str, str]:
    """Triple, name and features that numba compiles for."""
    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    return str(triple), str(name), str(features)


@cache
def processor() -> Processor:
    """The one that numba compiles for."""
    triple, _, features = target()
    return Processor.of(triple, features)
