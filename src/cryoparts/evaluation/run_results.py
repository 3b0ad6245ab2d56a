"""What a run folder says of its good particles, as evaluations ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cryoparts.evaluation.assignment import Assignment, assign_gaussians
from cryoparts.evaluation.part_agreement import PartAgreement, part_agreement
from cryoparts.gaussians.model import GaussianModel
from cryoparts.parts.part_labels import PartLabels
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.io.run_directory import RunDirectory

Found = tuple[dict[str, str], dict[str, Any]]
"""Headline in words, and all numbers."""


@dataclass(frozen=True)
class RunResults:
    """A run and which of its particles count.

    Parameters
    ----------
    run : RunDirectory
    trained : TrainedDecoder
    good : bool array, shape (P,)
        In the order of the run's particles.
    """

    run: RunDirectory
    trained: TrainedDecoder
    good: NDArray[np.bool_]

    @cached_property
    def positions(self) -> NDArray[np.float32]:
        """Of the neutral model's Gaussians (N, 3), Å."""
        return GaussianModel.load(self.run.gaussians_path).positions

    @cached_property
    def amplitudes(self) -> NDArray[np.float32] | None:
        """Relative amplitudes (n, N) of the good particles; None where they did not vary."""
        found = self.trained.decode().relative_amplitudes
        return None if found is None else found[self.good]

    @cached_property
    def displacements(self) -> NDArray[np.float32] | None:
        """Displacements (n, N, 3) of the good particles, Å; None where they did not vary."""
        found = self.trained.decode().displacements
        return None if found is None else found[self.good]

    def assigned(self, atom_positions: Any, segment: Any) -> Assignment:
        """The true segment of each Gaussian."""
        return assign_gaussians(self.positions, atom_positions, segment)

    def parts(self, true_segment: Any, core: int, names: Sequence[str]) -> PartAgreement | None:
        """The parts found against the true segments; None where none has been looked for."""
        if not self.run.parts_path.exists():
            return None
        labels = PartLabels.load(self.run.parts_path).labels
        return part_agreement(labels, true_segment, core, names)

    def focused(self, part: int | None) -> FocusedParticles | None:
        """States of the particles by one part, all particles; None where not found."""
        if part is None or not self.run.focus_path(part).exists():
            return None
        return FocusedParticles.load(self.run.focus_path(part))


def parts_headline(agreement: PartAgreement) -> dict[str, str]:
    """How the parts agree with the truth, in words."""
    return {
        "parts found": str(agreement.parts),
        "true segments recovered (Jaccard index > 0.5)": (
            f"{agreement.recovered} of {agreement.segments}"
        ),
        "adjusted Rand index": f"{agreement.adjusted_rand_index:.3f}",
    }
