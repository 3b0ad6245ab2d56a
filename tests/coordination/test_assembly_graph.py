"""The order of assembly, from who is seen without whom."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from coordinated_parts import pairs_of
from cryoparts.coordination.assembly_graph import assembly_graph
from cryoparts.coordination.coordination_files import save_coordination
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


@pytest.fixture(scope="module")
def clear():
    """Without doubt: 2 only where 3 is, 4 by itself; 1 is always there. Numbers unlike places."""
    presence = np.random.default_rng(2).random((900, 4)) < np.array([1.0, 0.55, 0.8, 0.3])
    presence[:, 1] &= presence[:, 2]
    pairs, composition = pairs_of(presence, error=0.1)
    return presence, pairs, composition, assembly_graph(composition, pairs)


def test_what_is_told_of_a_requirement_is_counted(clear):
    presence, _, composition, graph = clear
    assert composition.optional == [2, 3, 4]
    assert graph.occupancies == pytest.approx({k: presence[:, k - 1].mean() for k in (2, 3, 4)})
    (found,) = graph.requirements
    assert (found.earlier, found.later) == (3, 2)
    later, earlier = presence[:, 1], presence[:, 2]
    counted = [(earlier & later), (earlier & ~later), (~earlier & later), (~earlier & ~later)]
    told = [found.both, found.only_earlier, found.only_later, found.neither]
    np.testing.assert_allclose(told, [c.sum() for c in counted], atol=0.1)
    assert found.exceptions == pytest.approx(0, abs=1e-4)
    # none of n seen leaves 1.92 / n: the likelihood falls by n times the share
    assert found.exceptions_high == pytest.approx(1.92 / later.sum(), rel=0.1)
    assert found.expected_exceptions == pytest.approx(1 - earlier.mean(), abs=1e-3)


def test_the_patterns_are_those_of_the_particles_most_frequent_first(clear):
    presence, _, _, graph = clear
    found, counts = np.unique(presence[:, 1:], axis=0, return_counts=True)
    expected = {
        tuple((np.flatnonzero(row) + 2).tolist()): int(n)
        for row, n in zip(found, counts, strict=True)
    }
    assert {p.parts: p.particles for p in graph.patterns} == expected
    numbers = [p.particles for p in graph.patterns]
    assert numbers == sorted(numbers, reverse=True)


def test_only_pairs_that_are_believed_and_say_more_than_occupancies_do_are_requirements(clear):
    _, pairs, composition, _ = clear
    doubted = [replace(pair, verdict="no sign") for pair in pairs]
    assert assembly_graph(composition, doubted).requirements == ()
    presence = np.random.default_rng(3).random((900, 2)) < np.array([0.5, 0.96])
    pairs, composition = pairs_of(presence, error=0.1)
    believed = [replace(pair, verdict="coordinated", correlation=0.1) for pair in pairs]
    assert composition.optional == [1, 2]
    assert assembly_graph(composition, believed).requirements == ()


def test_the_tables_count_and_name_what_they_should(clear, tmp_path):
    presence, pairs, _, graph = clear
    save_coordination(tmp_path, pairs, ("core", "arm", "leg", "tail"), 900, graph)
    tables = []
    for name in ("pairs.csv", "assembly.csv"):
        with (tmp_path / name).open(encoding="utf-8", newline="") as stream:
            tables.append(list(csv.DictReader(stream)))
    rows, (requirement,) = tables
    assert [(r["name_a"], r["name_b"]) for r in rows] == [
        ("arm", "leg"), ("arm", "tail"), ("leg", "tail")
    ]  # fmt: skip
    for row in rows:
        number = {key: int(row[key].removeprefix("part_")) for key in ("part_a", "part_b")}
        a, b = (presence[:, part - 1] for part in number.values())
        cases = {"both": a & b, "only_a": a & ~b, "only_b": b & ~a, "neither": ~a & ~b}
        for name, there in cases.items():
            assert float(row[name]) == pytest.approx(there.sum(), abs=0.2)
    assert (requirement["name_earlier"], requirement["name_later"]) == ("leg", "arm")
    assert requirement["direct"] == "yes"
    content = json.loads((tmp_path / "assembly.json").read_text())
    assert [node["names"] for node in content["nodes"]] == [["arm"], ["leg"], ["tail"]]
    assert content["edges"] == [{"from_node": 1, "to_node": 0}]
    occupancies = [node["occupancies"][0] for node in content["nodes"]]
    np.testing.assert_allclose(occupancies, presence[:, 1:].mean(axis=0), atol=1e-3)
    found = {tuple(one["present"]): one["particles"] for one in content["compositions"]}
    assert found["part_3",] == (presence[:, 2] & ~presence[:, 1] & ~presence[:, 3]).sum()
