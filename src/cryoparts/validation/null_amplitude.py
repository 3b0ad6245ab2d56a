"""What a part does in the particles, against what it does in null particles.

Networks decode something different for every particle, for noise alone is
different in each. Null particles, in which nothing changes (see
`training.null_particles`), show how much of it that is. A part is judged by
how far the particles spread along its own main change: the direction in which
they spread most beyond the null particles. It is chosen on some particles and
measured on others, which were never trained on, so that neither the choice nor
what the networks have learned by heart favours the data.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import eigh

from cryoparts.inference.decoded import how_much_is_seen, mean_square_shown
from cryoparts.parts.changes import SMALLEST_DISPLACEMENT_UNIT
from cryoparts.parts.part_labels import CORE, UNASSIGNED
from cryoparts.seeds import Purpose, random_for

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from cryoparts.inference.decoded import Decoded
    from cryoparts.parts.part_labels import PartLabels

    FloatArray = NDArray[np.float64]

LARGEST_NULL_RATIO = 0.8
"""A part is flagged when null particles spread more than this share of what the particles do."""

LARGEST_NULL_RATIO_OF_SLIGHT = 0.5
SLIGHT_AMPLITUDE = 0.1
SLIGHT_DISPLACEMENT_ANGSTROM = 2.0
"""A part that changes less than both is flagged above the lower ratio.

Measured on simulated sets at 64 px of 5 Å and SNR 0.1. Where nothing changes (2,000
particles, 512 Gaussians) the groups found had ratios of 0.88 (Point Transformer) and
0.60 to 0.70 (MLP, whose latent vectors also follow what the model misfits from each
view), amplitude changes of 0.05 to 0.07 and displacements of 0.9 to 1.2 Å. The eight
parts of a ribosome (3,200 particles) had 0.25 to 0.58 and amplitude changes above 0.35,
against null particles of the neutral rather than the mean model; those of the demo's
complex (2,000 particles) 0.39 to 0.59.
Of three moving domains, the large one had 0.28 and 4.2 Å; the small ones, whose angles
those images hardly tell, 0.74 and 0.76 at 1.1 Å: they are flagged, as they should be.
"""

RULE = (
    f"{LARGEST_NULL_RATIO} ({LARGEST_NULL_RATIO_OF_SLIGHT} where the change is slight: below "
    f"{SLIGHT_AMPLITUDE} in amplitude and {SLIGHT_DISPLACEMENT_ANGSTROM:g} Å, "
    "and the images do not say that it moves), unless the images show it now there and now not"
)


def is_null(
    ratio: float,
    amplitude_change: float,
    displacement_rms_angstrom: float,
    *,
    moves_by_images: bool = False,
    fades_by_images: bool = False,
) -> bool:
    """Whether null particles show a change as well.

    Parameters
    ----------
    ratio : float
        Spread of the null particles over that of the particles; NaN counts as unknown.
    amplitude_change : float
        Of the part.
    displacement_rms_angstrom : float
        Of the part, Å.
    moves_by_images : bool
        Whether the images say that it moves: then no change is slight.
    fades_by_images : bool
        Whether the images show it now there and now not: then it is no noise of the networks.
    """
    if fades_by_images:
        return False
    slight = (
        not moves_by_images
        and amplitude_change < SLIGHT_AMPLITUDE
        and displacement_rms_angstrom < SLIGHT_DISPLACEMENT_ANGSTROM
    )
    return ratio > (LARGEST_NULL_RATIO_OF_SLIGHT if slight else LARGEST_NULL_RATIO)


_MOST_GAUSSIANS = 120
"""Gaussians of a part that its main change is told from: bounds the covariance."""

_RESAMPLES = 200
"""Resamples of the particles for the upper bound of a ratio."""


def change_features(decoded: Decoded) -> FloatArray:
    """Changes (n, F), amplitudes 1 and displacements as seen 2 Å, a Gaussian's share each."""
    scalars, displacements = decoded.relative_scalars, decoded.displacements_from_usual
    kinds = [
        None if scalars is None else np.asarray(scalars, dtype=np.float64),
        None
        if displacements is None
        else np.asarray(displacements, dtype=np.float64) / SMALLEST_DISPLACEMENT_UNIT,
    ]
    blocks = []
    for kind in kinds:
        if kind is not None:
            thinned = kind[:, :: -(-kind.shape[1] // _MOST_GAUSSIANS)]
            blocks.append(thinned.reshape(len(kind), -1) / np.sqrt(thinned.shape[1]))
    if not blocks:
        raise ValueError("neither amplitudes nor displacements are given")
    return np.concatenate(blocks, axis=1)


def amplitude_change(decoded: Decoded) -> float:
    """Mean over the Gaussians of the deviation of the relative amplitude, as in parts.csv."""
    scalars = decoded.relative_scalars
    return 0.0 if scalars is None else float(scalars.astype(np.float64).std(axis=0).mean())


def displacement_rms_angstrom(decoded: Decoded) -> float:
    """Root mean square displacement over the particles that show each Gaussian, as in parts.csv.

    In Å, about where the Gaussian is in these particles.
    """
    moved = decoded.displacements_from_usual
    if moved is None:
        return 0.0
    amplitudes = decoded.relative_amplitudes
    seen = np.ones(moved.shape[:2]) if amplitudes is None else how_much_is_seen(amplitudes)
    return float(np.sqrt(mean_square_shown(moved, seen).mean()))


@dataclass(frozen=True)
class PartAgainstNull:
    """One part, in the particles and in null particles.

    Parameters
    ----------
    part : int
    amplitude_change, null_amplitude_change : float
        Deviation of the relative amplitude, as in parts.csv.
    displacement_rms_angstrom, null_displacement_rms_angstrom : float
        Å, as in parts.csv.
    coordinate, null_coordinate : array, shape (m,)
        Along the part's main change, of the particles that it was measured on.
    null_ratio : float
        Deviation of the null particles along it over that of the particles.
    null_ratio_high : float
        95% of resamples of the particles lie below this.
    moves_by_images : bool
        Whether the images say that it moves.
    fades_by_images : bool
        Whether the images show it now there and now not.
    """

    part: int
    amplitude_change: float
    null_amplitude_change: float
    displacement_rms_angstrom: float
    null_displacement_rms_angstrom: float
    coordinate: FloatArray
    null_coordinate: FloatArray
    null_ratio: float
    null_ratio_high: float
    moves_by_images: bool = False
    fades_by_images: bool = False

    @property
    def flagged(self) -> bool:
        """Whether null particles show this part as well."""
        return not np.isfinite(self.null_ratio) or is_null(
            self.null_ratio,
            self.amplitude_change,
            self.displacement_rms_angstrom,
            moves_by_images=self.moves_by_images,
            fades_by_images=self.fades_by_images,
        )


def compare_with_null(
    labels: PartLabels,
    data: Decoded,
    null: Decoded,
    measured: NDArray[np.bool_],
    *,
    null_measured: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> list[PartAgainstNull]:
    """Judge every part.

    Parameters
    ----------
    labels : PartLabels
    data, null : Decoded
        Of particles and of null particles.
    measured : bool array, shape (n,)
        Particles to measure on; the main change is chosen on the others.
    null_measured : bool array, optional
        The same for the null particles, where they are not in the places of the particles.
    seed : int
        Of the resampling.

    Returns
    -------
    list of PartAgainstNull
        Parts 1 ... K.

    Raises
    ------
    ValueError
        If there are fewer than two particles of a kind to choose or to measure on.
    """
    null_rows = measured if null_measured is None else null_measured
    if min(measured.sum(), (~measured).sum(), null_rows.sum(), (~null_rows).sum()) < 2:
        raise ValueError("a comparison needs two particles or more to choose and to measure on")
    return [
        _compare(
            part,
            data.of_gaussians(labels.members(part)),
            null.of_gaussians(labels.members(part)),
            measured,
            null_rows,
            seed,
        )
        for part in range(1, labels.n_parts + 1)
    ]


def without_parts(labels: PartLabels, parts: Collection[int]) -> PartLabels:
    """The labels with the given parts put back into the core and the others renumbered."""
    kept = [k for k in range(1, labels.n_parts + 1) if k not in parts]
    number = np.zeros(labels.n_parts + 1, dtype=np.int64)
    number[kept] = np.arange(1, len(kept) + 1)
    changed = np.where(
        labels.labels == UNASSIGNED, UNASSIGNED, number[np.maximum(labels.labels, 0)]
    )
    if not kept:
        changed[:] = CORE  # nothing is unlike what does not exist
    names = ["core"]
    for k in kept:
        automatic = labels.names[k] == f"part_{k}"
        names.append(f"part_{number[k]}" if automatic else labels.names[k])
    return replace(labels, labels=changed, names=tuple(names))


def _compare(
    part: int,
    data: Decoded,
    null: Decoded,
    measured: NDArray[np.bool_],
    null_measured: NDArray[np.bool_],
    seed: int,
) -> PartAgainstNull:
    changes, noise = change_features(data), change_features(null)
    direction = _main_change(changes[~measured], noise[~null_measured])
    coordinate = _centred(changes[measured]) @ direction
    null_coordinate = _centred(noise[null_measured]) @ direction
    own, of_null = data.of_particles(measured), null.of_particles(null_measured)
    return PartAgainstNull(
        part=part,
        amplitude_change=amplitude_change(own),
        null_amplitude_change=amplitude_change(of_null),
        displacement_rms_angstrom=displacement_rms_angstrom(own),
        null_displacement_rms_angstrom=displacement_rms_angstrom(of_null),
        coordinate=coordinate,
        null_coordinate=null_coordinate,
        null_ratio=_ratio(null_coordinate, coordinate),
        null_ratio_high=_upper_bound(null_coordinate, coordinate, seed),
    )


def _main_change(changes: FloatArray, noise: FloatArray) -> FloatArray:
    """Unit vector (F,) along which the data's variance exceeds the null's most."""
    excess = np.cov(changes, rowvar=False, ddof=0) - np.cov(noise, rowvar=False, ddof=0)
    excess = np.atleast_2d(excess)
    last = len(excess) - 1
    direction: FloatArray = eigh(excess, subset_by_index=[last, last])[1][:, 0]
    # towards more density or, where only positions vary, towards larger coordinates
    return direction if direction.sum() >= 0 else -direction


def _centred(values: FloatArray) -> FloatArray:
    centred: FloatArray = values - values.mean(axis=0)
    return centred


def _ratio(null: FloatArray, data: FloatArray) -> float:
    """Ratio of deviations; 1 where neither varies, infinite where only the null does."""
    of_null, of_data = float(null.std()), float(data.std())
    if of_data > 0:
        return of_null / of_data
    return 1.0 if of_null == 0 else float("inf")


def _upper_bound(null: FloatArray, data: FloatArray, seed: int) -> float:
    rng = random_for(seed, Purpose.NULL_BOOTSTRAP)
    resampled = [
        _ratio(null[rng.integers(len(null), size=len(null))], data[drawn])
        for drawn in rng.integers(len(data), size=(_RESAMPLES, len(data)))
    ]
    return float(np.quantile(resampled, 0.95))
