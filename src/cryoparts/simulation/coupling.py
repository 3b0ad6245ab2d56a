"""Segments and regions that depend on each other, as the user writes it.

``b requires a`` (segments): b is there only where a is. ``a,b=0.6``: the
presences, or the angles, correlate by 0.6. Correlations are made by a Gaussian
copula, so each segment's probability and each region's range stay what they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri
from scipy.stats import multivariate_normal

from cryoparts.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cryoparts.conventions import FloatArray

OPTION = "--couple"
_REQUIRES = re.compile(r"\s*(\S.*?)\s+requires\s+(\S.*?)\s*")
_CORRELATES = re.compile(r"\s*([^,=]+?)\s*,\s*([^,=]+?)\s*=\s*([^=]+?)\s*")


@dataclass(frozen=True)
class Couplings:
    """What depends on what, by the place of each name.

    Parameters
    ----------
    requires : tuple of (int, int)
        (later, earlier): the first is there only where the second is.
    correlations : tuple of (int, int, float)
    """

    requires: tuple[tuple[int, int], ...] = ()
    correlations: tuple[tuple[int, int, float], ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything is coupled."""
        return bool(self.requires or self.correlations)


def read_couplings(
    texts: Sequence[str], names: Sequence[str], *, may_require: bool = True
) -> Couplings:
    """Read what the user wrote.

    Parameters
    ----------
    texts : sequence of str
        "b requires a" or "a,b=0.6".
    names : sequence of str
        Of the segments or regions.
    may_require : bool
        Whether requirements make sense (they do not for angles).

    Raises
    ------
    InputError
        If a text is malformed, names something unknown, or requirements go in a circle.
    """
    place = {name: number for number, name in enumerate(names)}
    requires, correlations = [], []
    for text in texts:
        where = f"{OPTION} {text!r}"
        required, correlated = _REQUIRES.fullmatch(text), _CORRELATES.fullmatch(text)
        if required and may_require:
            later, earlier = (_known(name, place, where) for name in required.groups())
            _distinct(later, earlier, where)
            requires.append((later, earlier))
        elif correlated:
            a, b = (_known(name, place, where) for name in correlated.groups()[:2])
            _distinct(a, b, where)
            correlations.append((a, b, _share(correlated[3], where)))
        else:
            forms = "'A,B=0.6'" if not may_require else "'B requires A' or 'A,B=0.6'"
            raise InputError(where, "cannot be read", f"Write {forms}.")
    graph = nx.DiGraph(requires)
    if requires and not nx.is_directed_acyclic_graph(graph):
        circle = [names[a] for a, _ in nx.find_cycle(graph)]
        raise InputError(
            OPTION, f"{', '.join(circle)} require each other in a circle", "Leave one out."
        )
    return Couplings(tuple(requires), tuple(correlations))


def coupled_presence(
    uniform: FloatArray, probability: float, couplings: Couplings
) -> NDArray[np.bool_]:
    """Presence (P, S) from uniform numbers (P, S) between 0 and 1.

    Without couplings a segment is there where its number is below `probability`.
    A requirement comes on top: the later segment's own share is then the product.

    Raises
    ------
    InputError
        If the correlations exclude each other, or cannot be reached.
    """
    for a, b, share in couplings.correlations:
        if not 0.0 < probability < 1.0:
            raise InputError(
                OPTION,
                f"segments {a + 1} and {b + 1} cannot correlate by {share:g} "
                f"at --probability {probability:g}",
                "Take a probability between 0 and 1.",
            )
    mixed = _mix(uniform, couplings.correlations, lambda share: _for_presence(share, probability))
    present: NDArray[np.bool_] = mixed < probability
    if couplings.requires:
        graph = nx.DiGraph((earlier, later) for later, earlier in couplings.requires)
        for segment in nx.topological_sort(graph):
            for earlier in graph.predecessors(segment):
                present[:, segment] &= present[:, earlier]
    return present


def coupled_shares(shares: FloatArray, couplings: Couplings) -> FloatArray:
    """Shares (P, R), uniform between -1 and 1, with the correlations asked for.

    Raises
    ------
    InputError
        If the correlations exclude each other.
    """
    if not couplings.correlations:
        return shares
    # of uniform variables under a Gaussian copula (Pearson 1907)
    mixed = _mix(
        0.5 * (shares + 1.0),
        couplings.correlations,
        lambda share: float(2.0 * np.sin(np.pi * share / 6.0)),
    )
    coupled: FloatArray = 2.0 * mixed - 1.0
    return coupled


def _mix(
    uniform: FloatArray,
    correlations: Sequence[tuple[int, int, float]],
    normal_correlation: Callable[[float], float],
) -> FloatArray:
    if not correlations:
        return uniform
    matrix = np.eye(uniform.shape[1])
    for a, b, share in correlations:
        matrix[a, b] = matrix[b, a] = normal_correlation(share)
    variance, axes = np.linalg.eigh(matrix)
    if variance.min() < -1e-9:
        raise InputError(
            OPTION,
            "the correlations exclude each other (no such numbers exist)",
            "Give the missing pairs as well, or weaker correlations.",
        )
    root = (axes * np.sqrt(np.maximum(variance, 0.0))) @ axes.T
    safe = np.clip(uniform, 1e-12, 1.0 - 1e-12)
    coupled = sorted({place for a, b, _ in correlations for place in (a, b)})
    mixed = uniform.copy()
    # what is coupled to nothing keeps its very numbers
    mixed[:, coupled] = ndtr(ndtri(safe) @ root)[:, coupled]
    return mixed


def _for_presence(share: float, probability: float) -> float:
    """Correlation of the normal variables that gives two presences the one asked for."""
    threshold, spread = float(ndtri(probability)), probability * (1.0 - probability)

    def excess(normal: float) -> float:
        both = multivariate_normal.cdf(
            [threshold, threshold], cov=[[1.0, normal], [normal, 1.0]], allow_singular=True
        )
        return float(both - probability**2) / spread - share

    low, high = -1.0 + 1e-9, 1.0 - 1e-9
    if excess(low) > 1e-6 or excess(high) < -1e-3:
        raise InputError(
            OPTION,
            f"a correlation of {share:g} does not exist at --probability {probability:g}",
            f"The least is {excess(low) + share:.2f}.",
        )
    if excess(high) < 0.0:
        return high
    if excess(low) > 0.0:
        return low
    return float(brentq(excess, low, high, xtol=1e-9))


def _known(name: str, place: dict[str, int], where: str) -> int:
    if name not in place:
        raise InputError(where, f"nothing is called {name!r}", f"There are {', '.join(place)}.")
    return place[name]


def _distinct(a: int, b: int, where: str) -> None:
    if a == b:
        raise InputError(where, "couples something to itself", "Name two.")


def _share(text: str, where: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = np.nan
    if not -1.0 <= share <= 1.0:
        raise InputError(where, f"the correlation must be from -1 to 1, got {text!r}", "Try 0.8.")
    return share
