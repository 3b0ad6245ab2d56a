"""The order of assembly, from who is seen without whom."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_coordination import pairs_of  # type: ignore[import-not-found]

from cryoparts.parts.assembly_graph import assembly_graph
from cryoparts.parts.coordination_files import save_coordination
from cryoparts.report.section_coordination import coordination_section


@pytest.fixture(scope="module")
def chain():
    """1 before 2 before 3; 4 by itself; 5 always together with 4."""
    rng = np.random.default_rng(0)
    presence = rng.random((1500, 5)) < 0.6
    presence[:, 1] &= presence[:, 0]
    presence[:, 2] &= presence[:, 1]
    presence[:, 4] = presence[:, 3]
    pairs, composition = pairs_of(presence, error=0.3)
    return presence, pairs, composition, assembly_graph(composition, pairs)


def test_the_order_is_found_and_implied_arrows_are_left_out(chain):
    presence, _, _, graph = chain
    assert graph.nodes == ((1,), (2,), (3,), (4, 5))
    assert graph.edges == ((0, 1), (1, 2))
    assert graph.layers() == [[0, 3], [1], [2]]
    implied = graph.requirement(1, 3)
    assert implied is not None
    assert implied.both == pytest.approx(presence[:, 2].sum(), rel=0.05)
    assert implied.only_later < 0.02 * len(presence)
    assert graph.requirement(3, 1) is None
    counts = implied.both + implied.only_earlier + implied.only_later + implied.neither
    assert counts == pytest.approx(len(presence))


def test_patterns_are_counted(chain):
    presence, _, _, graph = chain
    patterns, counts = np.unique(presence, axis=0, return_counts=True)
    most = tuple(np.flatnonzero(patterns[counts.argmax()]) + 1)
    assert graph.patterns[0].parts in {most, (), (1,), (4, 5), (1, 4, 5)}
    assert sum(p.particles for p in graph.patterns) <= len(presence)


def test_independent_parts_have_no_order():
    presence = np.random.default_rng(1).random((600, 4)) < np.array([0.5, 0.97, 0.5, 0.9])
    pairs, composition = pairs_of(presence)
    graph = assembly_graph(composition, pairs)
    assert graph.requirements == ()
    assert len(graph.nodes) == len(composition.optional)


def test_the_folder_is_written_and_reported(chain, tmp_path):
    _, pairs, composition, graph = chain
    save_coordination(
        tmp_path / "coordination", pairs, composition.part_names, len(composition.names), graph
    )
    content = json.loads((tmp_path / "coordination" / "assembly.json").read_text())
    assert content["edges"] == [{"from_node": 0, "to_node": 1}, {"from_node": 1, "to_node": 2}]
    section = coordination_section(tmp_path)
    assert [p.name for p in section.pictures] == [
        "coordination_matrix",
        "coordination_graph",
        "assembly_map",
    ]
    assert "4 of 10 pairs" in section.html
    save_coordination(tmp_path / "coordination", pairs, composition.part_names, 9, None)
    assert not (tmp_path / "coordination" / "assembly.json").exists()
    assert coordination_section(tmp_path / "nothing").html == ""
