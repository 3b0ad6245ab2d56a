"""What kind of change a part shows: whether it comes and goes, turns, shifts or deforms.

The rules, on a sample of the particles and with the core's rigid motion undone:

1. It comes and goes if its mean relative amplitude has a standard deviation of at
   least 0.15, and at least twice that of the core; of a part that moves, at least 0.25,
   for what moves is blurred in a consensus map, and its amplitudes make up for that.
2. It moves if its root mean square displacement about its mean (of the particles
   that have it) is at least 1 Å, and at least 1.5 times the core's, which shows what
   the decoder moves without reason.
3. What does both is mixed. What moves only is a deformation if a rigid motion
   explains less than 60% of its mean square displacement. A rigid motion is a
   rotation if turning about the part's own centre makes up at least 10% of it: then
   the axis passes within three times the part's own (r.m.s.) distance from it;
   else a translation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoparts.inference.calibration import PRESENT_ABOVE
from cryoparts.parts.part_labels import CORE
from cryoparts.rigid.motion_statistics import mean_screw
from cryoparts.rigid.rigid_motion import fit_rigid_motions, without_core_motion

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.gaussians.model import GaussianModel
    from cryoparts.parts.part_labels import PartLabels

    FloatArray = NDArray[np.float64]

Kind = Literal["present/absent", "rotation", "translation", "deformation", "mixed", "slight"]

AMPLITUDE_CHANGES = 0.15
AMPLITUDE_CHANGES_OF_MOVING = 0.25
"""0.16 at most in simulated parts that move and are always there, 0.5 in parts that half of the
particles have."""

AMPLITUDE_OVER_CORE = 2.0
DISPLACEMENT_CHANGES_ANGSTROM = 1.0
DISPLACEMENT_OVER_CORE = 1.5
RIGID_ABOVE = 0.6
TURNS_ABOVE = 0.1

_FEWEST_PRESENT = 10
"""Particles with the part, below which its motion is not described."""


@dataclass(frozen=True)
class PartChange:
    """One part's change over the particles, in numbers.

    Parameters
    ----------
    kind : str
        See the rules of this module.
    amplitude_mean, amplitude_deviation : float
        Of the part's mean relative amplitude over the particles; 1 and 0 where
        amplitudes did not vary.
    displacement_angstrom : float
        Root mean square displacement about its mean, as seen from the core.
    rigid_share : float
        Of the mean square displacement, what a rigid motion explains.
    turning_share : float
        Of what the rigid motion explains, what turning about the centre does.
    angle_deviation_degrees : float
        Standard deviation of the angle about the part's mean axis.
    """

    kind: Kind
    amplitude_mean: float
    amplitude_deviation: float
    displacement_angstrom: float
    rigid_share: float
    turning_share: float
    angle_deviation_degrees: float

    def in_words(self) -> str:
        """``turns by ± 6.2°``, for example."""
        fades = f"amplitude ± {100 * self.amplitude_deviation:.0f}%"
        moves = f"{self.displacement_angstrom:.1f} Å r.m.s."
        measured = [fades] if self.amplitude_deviation > 0 else []
        measured += [moves] if self.displacement_angstrom > 0 else []
        return {
            "present/absent": f"comes and goes ({fades})",
            "rotation": f"turns by ± {self.angle_deviation_degrees:.1f}° ({moves})",
            "translation": f"shifts ({moves})",
            "deformation": f"deforms ({moves})",
            "mixed": f"comes and goes and moves ({fades}, {moves})",
            "slight": f"changes slightly ({', '.join(measured)})",
        }[self.kind]


def measure_part_changes(
    model: GaussianModel,
    labels: PartLabels,
    relative_amplitudes: ArrayLike | None = None,
    displacements: ArrayLike | None = None,
) -> dict[int, PartChange]:
    """The change of every part, and its kind.

    Parameters
    ----------
    model : GaussianModel
    labels : PartLabels
    relative_amplitudes : array, shape (S, N), optional
        Of a sample of particles.
    displacements : array, shape (S, N, 3), optional
        Å.

    Returns
    -------
    dict of part to PartChange
    """
    amplitude = None if relative_amplitudes is None else np.asarray(relative_amplitudes)
    moved = None if displacements is None else np.asarray(displacements, dtype=np.float64)
    core = labels.members(CORE)
    core_amplitude = np.zeros(1)
    if amplitude is not None and core.any():
        core_amplitude = _mean_amplitude(amplitude, model, core)
    core_displacement = 0.0
    if moved is not None:
        moved = moved - moved.mean(axis=0)
        if core.any():
            own = fit_rigid_motions(model.positions[core], moved[:, core], model.amplitudes[core])
            moved = without_core_motion(model.positions, moved, own)
            core_displacement = _rms(own.residual_rms_angstrom)
    changes = {}
    for part in range(1, labels.n_parts + 1):
        members = labels.members(part)
        mean = None if amplitude is None else _mean_amplitude(amplitude, model, members)
        changes[part] = _change(
            model, members, mean, moved, float(core_amplitude.std()), core_displacement
        )
    return changes


def _change(
    model: GaussianModel,
    members: NDArray[np.bool_],
    amplitude: FloatArray | None,
    moved: FloatArray | None,
    core_amplitude: float,
    core_displacement: float,
) -> PartChange:
    deviation = 0.0 if amplitude is None else float(amplitude.std())
    fades = deviation >= max(AMPLITUDE_CHANGES, AMPLITUDE_OVER_CORE * core_amplitude)
    displacement, rigid, turning, angle = 0.0, 0.0, 0.0, 0.0
    if moved is not None:
        there = np.ones(len(moved), dtype=bool) if amplitude is None else amplitude > PRESENT_ABOVE
        if there.sum() >= _FEWEST_PRESENT:
            displacement, rigid, turning, angle = _motion(model, members, moved[there])
    moves = displacement >= max(
        DISPLACEMENT_CHANGES_ANGSTROM, DISPLACEMENT_OVER_CORE * core_displacement
    )
    if moves:
        fades = fades and deviation >= AMPLITUDE_CHANGES_OF_MOVING
    return PartChange(
        kind=kind_of(fades=fades, moves=moves, rigid=rigid, turning=turning),
        amplitude_mean=1.0 if amplitude is None else float(amplitude.mean()),
        amplitude_deviation=deviation,
        displacement_angstrom=displacement,
        rigid_share=rigid,
        turning_share=turning,
        angle_deviation_degrees=angle,
    )


def kind_of(*, fades: bool, moves: bool, rigid: float, turning: float) -> Kind:
    """The third of the rules: `rigid` and `turning` are shares, as in `PartChange`."""
    if fades and moves:
        return "mixed"
    if fades:
        return "present/absent"
    if not moves:
        return "slight"
    if rigid < RIGID_ABOVE:
        return "deformation"
    return "rotation" if turning >= TURNS_ABOVE else "translation"


def _motion(
    model: GaussianModel, members: NDArray[np.bool_], moved: FloatArray
) -> tuple[float, float, float, float]:
    """Displacement (Å), rigid share, turning share of it, and the angle's deviation (degrees)."""
    own = moved[:, members] - moved[:, members].mean(axis=0)
    fitted = fit_rigid_motions(model.positions[members], own, model.amplitudes[members])
    total = _rms(fitted.displacement_rms_angstrom)
    rigid = total**2 - _rms(fitted.residual_rms_angstrom) ** 2
    shifted = float((fitted.shift_angstrom**2).sum(axis=1).mean())
    if total == 0 or rigid <= 0:
        return total, 0.0, 0.0, 0.0
    screw = mean_screw(fitted, resamples=1)
    angle = float(fitted.angles_about(screw.axis, screw.pivot).std()) if screw.turns else 0.0
    return total, rigid / total**2, max(1 - shifted / rigid, 0.0), angle


def _mean_amplitude(
    amplitude: NDArray[np.floating], model: GaussianModel, members: NDArray[np.bool_]
) -> FloatArray:
    mass = model.amplitudes[members].astype(np.float64)
    return np.asarray(amplitude[:, members] @ mass / mass.sum())


def _rms(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))
