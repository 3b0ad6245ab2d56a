"""Order of assembly: which part is never seen without which other.

Part B *requires* part A if, among the particles that have B, those that lack A
are no more than errors explain. From all such pairs a directed acyclic graph is
made, from what comes first to what comes later: parts that require each other
become one node, and an arrow that others imply is left out (its transitive
reduction), as in the assembly maps of the ribosome (Held et al. 1974, J. Biol.
Chem. 249, 3103; Davis et al. 2016, Cell 167, 1610).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from cryoparts.config.steps import MOST_EXCEPTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cryoparts.coordination.coordination import Pair
    from cryoparts.occupancy.composition import Composition


MOST_PATTERNS = 20
"""Commonest combinations of parts that are listed; rarer ones are counted together."""


@dataclass(frozen=True)
class Requirement:
    """`later` is seen only where `earlier` is.

    Parameters
    ----------
    earlier, later : int
        Numbers of the parts.
    both, only_earlier, only_later, neither : float
        Particles, estimated with the doubt of each taken into account.
    exceptions, exceptions_high : float
        Share of the particles with `later` that lack `earlier`, and the upper
        end of its 95% interval.
    expected_exceptions : float
        The share that independent parts of the same occupancies would have.
    """

    earlier: int
    later: int
    both: float
    only_earlier: float
    only_later: float
    neither: float
    exceptions: float
    exceptions_high: float
    expected_exceptions: float


@dataclass(frozen=True)
class Pattern:
    """A composition that particles have: the optional parts present, and how many have it."""

    parts: tuple[int, ...]
    particles: int


@dataclass(frozen=True)
class AssemblyGraph:
    """What comes before what.

    Parameters
    ----------
    nodes : tuple of tuple of int
        Optional parts; those that require each other share a node.
    edges : tuple of (int, int)
        (earlier, later) nodes by their place in `nodes`: the transitive reduction.
    requirements : tuple of Requirement
        All of them, implied ones too.
    occupancies : dict of int to float
        Of each optional part.
    patterns : tuple of Pattern
        Most frequent first.
    particles : int
    """

    nodes: tuple[tuple[int, ...], ...]
    edges: tuple[tuple[int, int], ...]
    requirements: tuple[Requirement, ...]
    occupancies: dict[int, float]
    patterns: tuple[Pattern, ...]
    particles: int

    def layers(self) -> list[list[int]]:
        """Nodes by the longest way to them from one that requires nothing."""
        return [list(layer) for layer in nx.topological_generations(_digraph(self))]

    def requirement(self, earlier: int, later: int) -> Requirement | None:
        """The requirement of part `later` for part `earlier`, if there is one."""
        for found in self.requirements:
            if (found.earlier, found.later) == (earlier, later):
                return found
        return None

    def as_dict(self, part_names: Sequence[str]) -> dict[str, Any]:
        """Plain numbers and names, for assembly.json."""

        def label(part: int) -> str:
            return part_names[part - 1]

        return {
            "particles": self.particles,
            "meaning": "an edge goes from a part to one that is not seen without it",
            "nodes": [
                {
                    "parts": [f"part_{p}" for p in node],
                    "names": [label(p) for p in node],
                    "occupancies": [self.occupancies[p] for p in node],
                }
                for node in self.nodes
            ],
            "edges": [{"from_node": a, "to_node": b} for a, b in self.edges],
            "requirements": [
                {
                    "earlier": f"part_{r.earlier}",
                    "later": f"part_{r.later}",
                    "both": r.both,
                    "only_earlier": r.only_earlier,
                    "only_later": r.only_later,
                    "neither": r.neither,
                    "exceptions": r.exceptions,
                    "exceptions_high": r.exceptions_high,
                    "exceptions_if_independent": r.expected_exceptions,
                }
                for r in self.requirements
            ],
            "compositions": [
                {"present": [f"part_{p}" for p in pattern.parts], "particles": pattern.particles}
                for pattern in self.patterns
            ],
        }


def assembly_graph(
    composition: Composition, pairs: Sequence[Pair], most_exceptions: float = MOST_EXCEPTIONS
) -> AssemblyGraph:
    """Find what requires what among the parts that come and go.

    Only pairs that are coordinated and more often together than by chance are
    considered: a part that is nearly always there is not thereby a condition.

    Parameters
    ----------
    composition : Composition
    pairs : sequence of Pair
        From `find_coordination`; those of two presences are used.
    most_exceptions : float
        See `MOST_EXCEPTIONS`.
    """
    count = len(composition.names)
    requirements = []
    for pair in pairs:
        if pair.joint is None or not pair.is_coordinated or pair.correlation <= 0:
            continue
        for flipped in (False, True):
            found = _requirement(pair, count, most_exceptions, flipped=flipped)
            if found is not None:
                requirements.append(found)
    nodes, edges = _reduced(composition.optional, requirements)
    return AssemblyGraph(
        nodes=nodes,
        edges=edges,
        requirements=tuple(requirements),
        occupancies={k: composition.parts[k - 1].occupancy for k in composition.optional},
        patterns=_patterns(composition),
        particles=count,
    )


def _requirement(
    pair: Pair, count: int, most_exceptions: float, *, flipped: bool
) -> Requirement | None:
    """Whether the pair's first part (flipped: its second) requires the other."""
    joint = pair.joint
    assert joint is not None
    turned = joint.transposed() if flipped else joint
    exceptions, high = turned.exceptions()
    expected = float(1.0 - turned.shares[:, 1].sum())
    # also well below chance: where the earlier part is nearly always there, few
    # exceptions mean little
    if high > most_exceptions or high > 0.5 * expected:
        return None
    particles: NDArray[np.float64] = count * turned.shares
    later, earlier = (pair.b, pair.a) if flipped else (pair.a, pair.b)
    return Requirement(
        earlier=earlier,
        later=later,
        both=float(particles[1, 1]),
        only_earlier=float(particles[0, 1]),
        only_later=float(particles[1, 0]),
        neither=float(particles[0, 0]),
        exceptions=exceptions,
        exceptions_high=high,
        expected_exceptions=expected,
    )


def _reduced(
    parts: list[int], requirements: list[Requirement]
) -> tuple[tuple[tuple[int, ...], ...], tuple[tuple[int, int], ...]]:
    graph = nx.DiGraph()
    graph.add_nodes_from(parts)
    graph.add_edges_from((r.earlier, r.later) for r in requirements)
    merged = nx.condensation(graph)
    reduced = nx.transitive_reduction(merged)
    members = {n: tuple(sorted(merged.nodes[n]["members"])) for n in merged.nodes}
    order = sorted(members, key=lambda n: members[n])
    place = {node: number for number, node in enumerate(order)}
    edges = sorted((place[a], place[b]) for a, b in reduced.edges)
    return tuple(members[n] for n in order), tuple(edges)


def _patterns(composition: Composition) -> tuple[Pattern, ...]:
    optional = composition.optional
    if not optional:
        return ()
    present = composition.probability[:, [k - 1 for k in optional]] > 0.5
    found, counts = np.unique(present, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST_PATTERNS]
    return tuple(
        Pattern(tuple(k for k, there in zip(optional, found[i], strict=True) if there), int(c))
        for i, c in zip(order, counts[order], strict=True)
    )


def _digraph(graph: AssemblyGraph) -> Any:
    drawn = nx.DiGraph()
    drawn.add_nodes_from(range(len(graph.nodes)))
    drawn.add_edges_from(graph.edges)
    return drawn
