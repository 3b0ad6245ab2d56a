"""Parts and states of a data set made from maps, against known chains and those maps.

A chain of a structure that lies in the maps is known to be there or not by the maps'
density at its atoms. A part is compared with the chains it holds, and how much of it
each particle has with the density of the map that the particle came from.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree
from sklearn.metrics import (
    adjusted_rand_score,
    normalized_mutual_info_score,
    roc_auc_score,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cryoparts.conventions import FloatArray

PRESENT_SHARE = 0.5
"""A part is there in maps where its density exceeds this share of its densest map's."""


@dataclass(frozen=True)
class ChainRow:
    """One chain.

    Parameters
    ----------
    chain, molecule : str
    part : int
        Label that most of its atoms' nearest Gaussians have (0 core, -1 none).
    share : float
        Of its atoms, in that part.
    density_mean, density_spread : float
        Mean and standard deviation over the maps of the density at its atoms.
    correlation : float or None
        Over the maps: of that density with how much of the part the decoder sees.
    """

    chain: str
    molecule: str
    part: int
    share: float
    density_mean: float
    density_spread: float
    correlation: float | None


@dataclass(frozen=True)
class AssemblyPart:
    """One part.

    Parameters
    ----------
    part : int
    gaussians : int
    chains : tuple of str
        Chains most of whose atoms are in it.
    map_amplitude, map_density : tuple of float
        For each map: the mean amplitude that the decoder gives the part in its
        particles, and the part's density in it relative to the core's.
    correlation : float or None
        Of the two, over the maps.
    presence_auc : float or None
        Probability that a particle of a map with the part has a larger amplitude
        of it than one of a map without; None if all maps have it, or none.
    presence_accuracy : float or None
        Share of particles judged rightly by an amplitude above half of the span
        between the map with most and the map with least of the part.
    states_rand, states_information : float or None
        Adjusted Rand index and normalised mutual information of the part's states
        with its true presence.
    """

    part: int
    gaussians: int
    chains: tuple[str, ...]
    map_amplitude: tuple[float, ...]
    map_density: tuple[float, ...]
    correlation: float | None
    presence_auc: float | None
    presence_accuracy: float | None
    states_rand: float | None
    states_information: float | None


@dataclass(frozen=True)
class ChainAgreement:
    """All of it.

    Parameters
    ----------
    parts : tuple of AssemblyPart
    chains : tuple of ChainRow
    joint_information, joint_rand, joint_purity : float or None
        Of the particles' states in all parts together with the maps.
    classes : int
        How many combinations of states occur.
    """

    parts: tuple[AssemblyPart, ...]
    chains: tuple[ChainRow, ...]
    joint_information: float | None
    joint_rand: float | None
    joint_purity: float | None
    classes: int

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for a JSON file."""
        return asdict(self)


@dataclass(frozen=True)
class ChainDensities:
    """Where the chains are, and the density of each in every map.

    Parameters
    ----------
    names, molecules : tuple of str, length C
    atoms : sequence of arrays, shape (A_c, 3)
        About the box centre, Å.
    density : array, shape (M, C)
        In the order of the truth's maps.
    """

    names: tuple[str, ...]
    molecules: tuple[str, ...]
    atoms: tuple[FloatArray, ...]
    density: FloatArray


@dataclass(frozen=True)
class PartEvidence:
    """What a run says of its K parts in P particles.

    Parameters
    ----------
    labels : int array, shape (N,)
        Part of each Gaussian.
    positions : array, shape (N, 3)
        Of the Gaussians, about the box centre, Å.
    amplitude : dict of int to array, shape (P,)
        Mean relative amplitude of each part.
    states : dict of int to int array, shape (P,)
    """

    labels: NDArray[np.int64]
    positions: FloatArray
    amplitude: Mapping[int, FloatArray]
    states: Mapping[int, NDArray[np.int64]]


def chain_agreement(
    evidence: PartEvidence,
    map_index: ArrayLike,
    gaussian_density: ArrayLike,
    chains: ChainDensities | None,
) -> ChainAgreement:
    """Compare.

    Parameters
    ----------
    evidence : PartEvidence
    map_index : int array, shape (P,)
        The map each particle came from.
    gaussian_density : array, shape (M, N)
        Density of every map at the Gaussians.
    chains : ChainDensities, optional
    """
    index = np.asarray(map_index, dtype=np.int64)
    density = np.asarray(gaussian_density, dtype=np.float64)
    seen = {
        part: np.array(
            [
                values[index == m].mean() if (index == m).any() else np.nan
                for m in range(len(density))
            ]
        )
        for part, values in evidence.amplitude.items()
    }
    rows = () if chains is None else _chain_rows(evidence, chains, seen)
    core = _core_density(evidence.labels, density)
    parts = tuple(
        _part(part, evidence, index, density, core, seen[part], rows) for part in sorted(seen)
    )
    joint = _joint_states(list(evidence.states.values()), len(index))
    return ChainAgreement(
        parts=parts,
        chains=rows,
        joint_information=None if joint is None else _information(index, joint),
        joint_rand=None if joint is None else float(adjusted_rand_score(index, joint)),
        joint_purity=None if joint is None else purity(joint, index),
        classes=0 if joint is None else len(np.unique(joint)),
    )


def purity(classes: ArrayLike, truth: ArrayLike) -> float:
    """Share of particles that are of the commonest true kind in their class."""
    found = np.unique(np.asarray(classes), return_inverse=True)[1]
    kinds = np.unique(np.asarray(truth), return_inverse=True)[1]
    counts = np.zeros((found.max() + 1, kinds.max() + 1), dtype=np.int64)
    np.add.at(counts, (found, kinds), 1)
    return float(counts.max(axis=1).sum() / len(found))


def _core_density(labels: NDArray[np.int64], density: FloatArray) -> FloatArray:
    """Mean density (M,) of what does not change: the scale of each map."""
    still = labels == 0
    core: FloatArray = density[:, still if still.any() else slice(None)].mean(axis=1)
    return np.where(core > 1e-12, core, 1.0)


def _part(
    part: int,
    evidence: PartEvidence,
    index: NDArray[np.int64],
    density: FloatArray,
    core: FloatArray,
    seen: FloatArray,
    rows: Sequence[ChainRow],
) -> AssemblyPart:
    inside = evidence.labels == part
    relative = density[:, inside].mean(axis=1) / core
    there = (relative > PRESENT_SHARE * relative.max())[index]
    both = bool(there.any() and not there.all())
    amplitude, states = evidence.amplitude[part], evidence.states.get(part)
    middle = 0.5 * (np.nanmin(seen) + np.nanmax(seen))
    return AssemblyPart(
        part=part,
        gaussians=int(inside.sum()),
        chains=tuple(row.chain for row in rows if row.part == part),
        map_amplitude=tuple(float(value) for value in seen),
        map_density=tuple(float(value) for value in relative),
        correlation=_correlation(seen, relative),
        presence_auc=float(roc_auc_score(there, amplitude)) if both else None,
        presence_accuracy=float(((amplitude > middle) == there).mean()) if both else None,
        states_rand=None if states is None else float(adjusted_rand_score(there, states)),
        states_information=None if states is None else _information(there, states),
    )


def _chain_rows(
    evidence: PartEvidence, chains: ChainDensities, seen: Mapping[int, FloatArray]
) -> tuple[ChainRow, ...]:
    tree = cKDTree(evidence.positions)
    rows = []
    for number, (name, atoms) in enumerate(zip(chains.names, chains.atoms, strict=True)):
        _, nearest = tree.query(atoms)
        labels, counts = np.unique(evidence.labels[nearest], return_counts=True)
        part = int(labels[np.argmax(counts)])
        density = chains.density[:, number]
        rows.append(
            ChainRow(
                chain=name,
                molecule=chains.molecules[number],
                part=part,
                share=float(counts.max() / counts.sum()),
                density_mean=float(density.mean()),
                density_spread=float(density.std()),
                correlation=_correlation(seen[part], density) if part in seen else None,
            )
        )
    return tuple(rows)


def _correlation(one: FloatArray, other: FloatArray) -> float | None:
    usable = np.isfinite(one) & np.isfinite(other)
    one, other = one[usable], other[usable]
    if len(one) < 3 or not np.ptp(one) or not np.ptp(other):
        return None
    return float(np.corrcoef(one, other)[0, 1])


def _joint_states(states: Sequence[NDArray[np.int64]], count: int) -> NDArray[np.int64] | None:
    if not states:
        return None
    joint = np.unique(np.stack(states, axis=1), axis=0, return_inverse=True)[1]
    return np.asarray(joint.reshape(count), dtype=np.int64)


def _information(one: ArrayLike, other: ArrayLike) -> float:
    return float(normalized_mutual_info_score(np.asarray(one), np.asarray(other)))
