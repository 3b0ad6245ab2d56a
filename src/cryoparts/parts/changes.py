"""How each Gaussian changes over the particles, in few numbers a Gaussian.

The decoder's output over a sample of S particles is S numbers (relative
amplitude) or 3 S numbers (displacement) a Gaussian. Here it becomes an array
(N, channels, M) of at most 20 *modes*: coordinates along orthonormal patterns
over the particles, so that distances between Gaussians are kept while most of
the noise is not. Anything linear for each particle (a common value, a rigid or
affine motion of a region) is also linear in each mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial import cKDTree
from sklearn.utils.extmath import randomized_svd

from cryoparts.inference.decoded import how_much_is_seen, mean_square_shown, usual_place
from cryoparts.seeds import Purpose, random_for, seed_for

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

MAX_MODES = 20
"""Most patterns over the particles that are kept."""

SMALLEST_DISPLACEMENT_UNIT = 2.0
"""Å; displacements are measured in units of the typical one, but never below
this, so that the jitter of a decoder that moves nothing is not blown up."""

AMPLITUDES = (-1.0, 2.0)
"""Relative amplitudes that count (0 is away, 1 is there): one particle in which what is always
there nearly vanishes has others of 80, and its pattern would be all that is seen."""

FARTHEST = 4.0
"""Displacement of a particle that counts, in medians over the particles, root mean square."""

_NEIGHBOURS_OF_LOCAL_FIT = 20
"""Gaussians to which a local rigid motion is fitted: a rotation needs three, noise needs more."""

_ROUNDS_OF_COMMON_MOTION = 10
"""Rounds in which the stillest body and its motion determine each other."""

_PERMUTATIONS = 2
"""Permuted copies of the changes that tell how many components noise alone has."""


@dataclass(frozen=True)
class Changes:
    """The Gaussians' changes over the particles.

    Parameters
    ----------
    positions : array, shape (N, 3)
        Neutral positions, Å.
    modes : array, shape (N, channels, M)
        Coordinates along M patterns over the particles; sums of squares over
        the modes are mean squares over the particles. Channel 0 is the
        amplitude (unit 1) where `has_amplitude`; the last three are the
        displacement (unit `displacement_unit_angstrom`) where `has_displacement`.
    has_amplitude, has_displacement : bool
    displacement_unit_angstrom : float
    amplitude_change : array, shape (N,)
        Standard deviation of the relative amplitude over the particles.
    displacement_rms_angstrom : array, shape (N,)
        Root mean square displacement about its mean over the particles that show the
        Gaussian, Å.
    """

    positions: FloatArray
    modes: FloatArray
    has_amplitude: bool
    has_displacement: bool
    displacement_unit_angstrom: float
    amplitude_change: FloatArray
    displacement_rms_angstrom: FloatArray

    @property
    def n_modes(self) -> int:
        """Number of patterns above the noise; 0 means that nothing changes."""
        return int(self.modes.shape[2])

    @property
    def displacement_modes(self) -> FloatArray:
        """The displacement channels of the modes, shape (N, 3, M)."""
        return self.modes[:, -3:]

    @property
    def amplitude_modes(self) -> FloatArray:
        """The amplitude channel of the modes, shape (N, 1, M)."""
        return self.modes[:, :1]


def measure_changes(
    positions: ArrayLike,
    relative_amplitudes: ArrayLike | None = None,
    displacements: ArrayLike | None = None,
    *,
    relative_widths: ArrayLike | None = None,
    as_seen: bool = True,
    seed: int = 0,
) -> Changes:
    """Reduce decoder output over S particles to a few modes a Gaussian.

    Each Gaussian's mean over the particles is taken away; amplitudes keep their
    unit and displacements are divided by one number for all Gaussians, so the
    noise of those that do not change stays small.

    Parameters
    ----------
    positions : array, shape (N, 3)
        Neutral positions, Å.
    relative_amplitudes : array, shape (S, N), optional
        Amplitudes relative to the neutral model (1 = unchanged).
    displacements : array, shape (S, N, 3), optional
        Displacements from the neutral positions, Å.
    relative_widths : array, shape (S, N), optional
        Looked at in the place of amplitudes where these do not vary.
    as_seen : bool
        Whether a displacement counts by how much of the Gaussian there is to be seen.
    seed : int
        Seed of the randomised singular value decomposition.

    Raises
    ------
    ValueError
        If neither kind of output is given, or the shapes disagree.
    """
    where = np.asarray(positions, dtype=np.float64)
    count = len(where)
    scalars = relative_widths if relative_amplitudes is None else relative_amplitudes
    given = [len(np.asarray(kind)) for kind in (scalars, displacements) if kind is not None]
    if not given or len(set(given)) != 1:
        raise ValueError("give amplitudes, displacements or both, of the same particles")
    blocks: list[FloatArray] = []
    amplitude_change, rms, unit = np.zeros(count), np.zeros(count), SMALLEST_DISPLACEMENT_UNIT
    if scalars is not None:
        bounded = np.clip(scalars, *AMPLITUDES)
        amplitudes = _centred(bounded, (count,))[:, :, None]
        amplitude_change = np.sqrt(np.mean(amplitudes**2, axis=0))[:, 0]
        blocks.append(amplitudes)
    if displacements is not None:
        moves = _without_common_motion(where, _centred(displacements, (count, 3)))
        seen = np.ones(moves.shape[:2])
        if as_seen and relative_amplitudes is not None:
            seen = how_much_is_seen(relative_amplitudes).astype(np.float64)
        moves = _without_outliers(_as_seen(moves, seen))
        rms = np.sqrt(mean_square_shown(moves, seen))
        unit = max(float(np.quantile(rms, 0.9)), SMALLEST_DISPLACEMENT_UNIT)
        blocks.append(moves / unit)
    stacked = np.concatenate(blocks, axis=2).transpose(1, 2, 0)
    return Changes(
        positions=where,
        modes=_modes_above_noise(stacked / np.sqrt(stacked.shape[2]), seed),
        has_amplitude=scalars is not None,
        has_displacement=displacements is not None,
        displacement_unit_angstrom=unit,
        amplitude_change=amplitude_change,
        displacement_rms_angstrom=rms,
    )


def gaussian_features(changes: Changes) -> FloatArray:
    """Features (N, F) in which Gaussians that change together lie together.

    Amplitude modes as they are. A region that rotates has different
    displacements at its different points but one rotation, so displacement
    modes are joined by the local rotation (from an affine fit to each
    Gaussian's 20 nearest neighbours) times the model's root mean square radius.
    """
    parts = []
    count = len(changes.positions)
    if changes.has_amplitude:
        parts.append(changes.amplitude_modes.reshape(count, -1))
    if changes.has_displacement:
        parts.append(changes.displacement_modes.reshape(count, -1))
        parts.append(_local_rotation(changes.positions, changes.displacement_modes))
    return np.concatenate(parts, axis=1)


def _without_common_motion(positions: FloatArray, moves: FloatArray) -> FloatArray:
    """Displacements (S, N, 3) less the small rigid motion of the stillest Gaussians.

    What is left of errors of the poses moves all Gaussians of a particle as one body, which
    defines no part. Weights one over each Gaussian's mean square of what is left find the
    body that is stillest, a core and not the mean of all (iteratively reweighted least squares).
    """
    count = len(positions)
    if count < 3:
        return moves
    arms = positions - positions.mean(axis=0)
    radius = max(float(np.sqrt(np.mean(np.sum(arms**2, axis=1)))), 1e-9)
    body = np.zeros((count, 3, 6))
    body[:, :, :3] = np.eye(3)
    for axis in range(3):
        body[:, :, 3 + axis] = np.cross(np.eye(3)[axis], arms) / radius
    flat, table = body.reshape(-1, 6), moves.reshape(len(moves), -1)
    fitted = np.zeros((len(moves), 6))
    squares = np.einsum("sc,sc->c", table, table)
    for _ in range(_ROUNDS_OF_COMMON_MOTION):
        # of what is left by (table - fitted @ flat.T)**2, which is as large as all displacements
        crossed = (flat * (2 * (fitted.T @ table).T - flat @ (fitted.T @ fitted))).sum(axis=1)
        left = np.maximum(squares - crossed, 0.0) / len(moves)
        square = left.reshape(-1, 3).sum(axis=1)
        weight = np.repeat(1.0 / (square + max(1e-3 * float(square.mean()), 1e-12)), 3)
        normal = flat.T @ (weight[:, None] * flat)
        normal += 1e-9 * np.trace(normal) * np.eye(6)  # points on a line turn about it freely
        fitted = table @ (weight[:, None] * flat) @ np.linalg.inv(normal)
    without: FloatArray = moves - (fitted @ flat.T).reshape(moves.shape)
    return without


def _as_seen(moves: FloatArray, seen: FloatArray) -> FloatArray:
    """Displacements (S, N, 3) from where a Gaussian is when it is seen, times how much it is.

    No image says where a Gaussian would be that is away. A network puts it anywhere, and the
    halves of a part that only comes and goes would move apart.
    """
    shown: FloatArray = seen[:, :, None] * (moves - usual_place(_without_outliers(moves), seen))
    return shown


def _without_outliers(moves: FloatArray) -> FloatArray:
    """Displacements (S, N, 3), those of particles that move farthest by far made smaller."""
    rms = np.sqrt(np.mean(np.sum(moves**2, axis=2), axis=1))
    most = FARTHEST * float(np.median(rms))
    if most <= 0:
        return moves
    limited: FloatArray = moves * np.minimum(1.0, most / np.maximum(rms, 1e-300))[:, None, None]
    return limited


def _centred(values: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != len(shape) + 1 or array.shape[1:] != shape or not len(array):
        raise ValueError(f"decoder output should have shape (S, {shape}), got {array.shape}")
    centred: FloatArray = array - array.mean(axis=0)
    return centred


def _modes_above_noise(values: FloatArray, seed: int) -> FloatArray:
    """Changes (N, channels, S) along the patterns that beat permuted data, (N, channels, M).

    Parallel analysis (Horn 1965, Psychometrika 30, 179): a pattern counts if its
    variance exceeds the largest one found after the entries of every column
    were permuted, which keeps each column's distribution and breaks what the
    columns share. Only differences between Gaussians count: what all do alike
    (a global scale, a common shift) defines no part.
    """
    count, channels, particles = values.shape
    between = (values - values.mean(axis=0)).reshape(count * channels, particles)
    kept = min(MAX_MODES, *between.shape)
    if kept < 1 or not between.any():
        return np.zeros((count, channels, 0))
    # single precision: only which patterns there are comes from here
    number = seed_for(seed, Purpose.CHANGE_PATTERNS)
    single = between.astype(np.float32)
    _, singular, patterns = randomized_svd(single, kept, n_iter=4, random_state=number)
    rng = random_for(seed, Purpose.CHANGE_PATTERNS)
    noise = max(
        randomized_svd(rng.permuted(single, axis=0), 1, n_iter=4, random_state=number)[1][0]
        for _ in range(_PERMUTATIONS)
    )
    # 5%: the permuted maximum is itself random
    above = patterns[: int(np.sum(singular > 1.05 * noise))].astype(np.float64)
    modes: FloatArray = values @ above.T
    return modes


def _local_rotation(positions: FloatArray, moves: FloatArray) -> FloatArray:
    """Local rotation vectors of a displacement field, times the model's radius (N, 3 M)."""
    count, _, n_modes = moves.shape
    neighbours = min(_NEIGHBOURS_OF_LOCAL_FIT, count)
    if neighbours < 4:
        return np.zeros((count, 3 * n_modes))
    _, near = cKDTree(positions).query(positions, k=neighbours)
    offsets = positions[near] - positions[near].mean(axis=1, keepdims=True)
    gram = np.einsum("nki,nkj->nij", offsets, offsets)
    # a flat or straight neighbourhood does not determine every gradient: damp it
    damping = 0.05 * np.trace(gram, axis1=1, axis2=2)[:, None, None] * np.eye(3)
    slopes = np.einsum("nkj,nkcm->njcm", offsets, moves[near])
    gradient = np.einsum("nij,njcm->nicm", np.linalg.inv(gram + damping), slopes)
    # gradient[:, i, c] = d(move_c)/d(x_i); the rotation vector is half the curl
    curl = np.stack(
        [
            gradient[:, 1, 2] - gradient[:, 2, 1],
            gradient[:, 2, 0] - gradient[:, 0, 2],
            gradient[:, 0, 1] - gradient[:, 1, 0],
        ],
        axis=1,
    )
    radius = np.sqrt(np.mean(np.sum((positions - positions.mean(axis=0)) ** 2, axis=1)))
    rotation: FloatArray = (0.5 * radius * curl).reshape(count, 3 * n_modes)
    return rotation
