"""Parts and their order against a table of who is in which map."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.coordination.assembly_graph import assembly_graph
from cryoparts.coordination.coordination import find_coordination
from cryoparts.coordination.part_signals import PartSignal
from cryoparts.errors import InputError
from cryoparts.evaluation.assembly_agreement import (
    ProteinOccupancies,
    assembly_agreement,
    read_protein_occupancies,
)
from cryoparts.occupancy.composition import find_composition
from cryoparts.occupancy.image_amplitudes import ImageAmplitudes

PROTEINS = ("p_A", "p_B", "p_C", "p_D")
# D is bound to nothing; B follows A, and C follows B
SEEN = ("", "A", "AB", "ABC", "D", "AD", "ABCD")
STEPS = np.array([[float(name[-1] in there) for name in PROTEINS] for there in SEEN])
TABLE = ProteinOccupancies(tuple(str(380 + 3 * i) for i in range(7)), PROTEINS, STEPS)
MAPS = [f"maps/vol_{name}.mrc" for name in TABLE.maps]
PARTS = {f"part_{k}": name for k, name in enumerate(PROTEINS, start=1)}


def particles(seed, count=1400):
    index = np.random.default_rng(seed).integers(0, len(MAPS), count)
    return index, STEPS[index]


def presence_of(columns):
    return {f"part_{k}": column for k, column in enumerate(columns.T, start=1)}


def test_the_table_is_read_as_a_share_of_the_full_occupancy(tmp_path):
    raw = np.random.default_rng(0).uniform(0, 9, (20, 3))
    rows = [["PDB", "s", "s", "t"], ["Chain", "a", "b", "A"]]
    rows += [[str(i), *map(str, row)] for i, row in enumerate(raw)]
    with (tmp_path / "table.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    found = read_protein_occupancies(tmp_path / "table.csv")
    assert found.proteins == ("s_A", "s_B", "t_A")
    assert found.maps == tuple(str(i) for i in range(20))
    full = np.quantile(raw, 0.9, axis=0)
    np.testing.assert_allclose(found.values, np.minimum(raw / full, 1))
    assert (found.values == 1).sum(axis=0).tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    "text", ["", "PDB,a\nChain,b\n", "x,a\nChain,b\n1,2\n", "PDB,a\nChain,b\n1,much\n",
             "PDB,a,b\nChain,b,c\n1,2\n", "PDB,a\nChain,b,c\n1,2\n"],
)  # fmt: skip
def test_what_is_no_table_is_refused(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(text)
    with pytest.raises(InputError, match="no table of occupancies"):
        read_protein_occupancies(path)


@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10_000), st.permutations(range(4)))
def test_presence_as_the_table_has_it_agrees_wholly(seed, order):
    index, true = particles(seed, 300)
    presence = {f"part_{k}": true[:, k - 1] for k in [o + 1 for o in order]}
    chains = {part: [name, "rna_1"] for part, name in PARTS.items()}
    for told in (chains, None):
        found = assembly_agreement(presence, index, MAPS, TABLE, chains=told)
        assert found.mean_correlation == pytest.approx(1.0)
        assert {p.part: p.proteins for p in found.parts} == {k: (v,) for k, v in PARTS.items()}
        assert all(p.agreement == 1.0 for p in found.parts)
    against = assembly_agreement(
        {k: 1 - v for k, v in presence.items()}, index, MAPS, TABLE, chains=chains
    )
    assert against.mean_correlation == pytest.approx(-1.0)
    assert all(p.agreement == 0.0 for p in against.parts)


def test_presence_of_shuffled_particles_agrees_with_nothing():
    index, true = particles(1, 7000)
    shuffled = np.random.default_rng(2).permutation(true)
    chains = {part: [name] for part, name in PARTS.items()}
    right = assembly_agreement(presence_of(true), index, MAPS, TABLE, chains=chains)
    wrong = assembly_agreement(presence_of(shuffled), index, MAPS, TABLE, chains=chains)
    assert all(p.agreement == 1 for p in right.parts)
    assert np.mean([p.agreement for p in wrong.parts]) < 0.7
    # seven maps: what chance gives is far from nothing
    assert wrong.mean_correlation < 0.6


def test_a_part_of_several_proteins_is_their_mean_and_maps_are_found_by_number():
    index = np.repeat([2, 0], 50)  # the maps' order is not the table's, and not all are shown
    names = ["b_0389.mrc", "unused.mrc", "a_380_sharp.mrc"]
    table = ProteinOccupancies(
        ("380", "383", "389"), ("p_A", "p_B"), np.array([[1.0, 0.4], [0, 0], [0.2, 0.0]])
    )
    found = assembly_agreement(
        {"part_1": np.where(index == 2, 0.9, 0.3)}, index, names, table,
        chains={"part_1": ["p_B", "p_A"]},
    )  # fmt: skip
    (part,) = found.parts
    assert part.proteins == ("p_B", "p_A")
    assert (part.correlation, part.agreement) == (pytest.approx(1.0), 1.0)  # of 0.7 and 0.1
    with pytest.raises(InputError, match=r"no row for the map 'unused\.mrc'"):
        assembly_agreement({}, [1], names, table)


def test_a_requirement_is_upheld_if_few_particles_break_it():
    index, true = particles(3)
    chains = {part: [name] for part, name in PARTS.items()}

    def upheld(*requirements):
        found = assembly_agreement(
            presence_of(true), index, MAPS, TABLE, chains=chains, requirements=requirements
        )
        return found.upheld, found.requirements

    forward = [("part_1", "part_2"), ("part_2", "part_3"), ("part_1", "part_3")]
    assert upheld(*forward) == (3, 3)
    assert upheld(*(pair[::-1] for pair in forward)) == (0, 3)
    assert upheld(("part_4", "part_1"), ("part_1", "part_4")) == (0, 2)
    assert upheld(*forward, ("part_1", "part_9")) == (3, 3)  # nobody knows part 9


@pytest.mark.parametrize(("broken", "expected"), [(2, 1), (3, 0)])
def test_a_tenth_of_the_particles_with_the_later_part_may_break_a_requirement(broken, expected):
    table = ProteinOccupancies(
        ("1", "2", "3"), ("p_A", "p_B"), np.array([[1.0, 1], [0, 1], [0, 0]])
    )
    index = np.repeat([0, 1, 2], [18, broken, 100])  # both, only the later, neither
    nothing = np.zeros(len(index))
    found = assembly_agreement(
        {"part_1": nothing, "part_2": nothing}, index, ["1.mrc", "2.mrc", "3.mrc"], table,
        chains={"part_1": ["p_A"], "part_2": ["p_B"]}, requirements=[("part_1", "part_2")],
    )  # fmt: skip
    assert found.upheld == expected


def test_no_parts_agree_with_nothing():
    found = assembly_agreement({}, np.zeros(3), MAPS, TABLE)
    assert np.isnan(found.mean_correlation)
    assert found.as_dict()["requirements"] == 0


def graph_of(presence, seed=4):
    """What composition and coordination make of noisy amplitudes of these particles."""
    rng = np.random.default_rng(seed)
    count, parts = presence.shape
    measured = ImageAmplitudes(
        np.arange(count).astype(np.str_),
        presence + 0.25 * rng.normal(size=presence.shape),
        np.tile(0.25**2 * np.eye(parts), (count, 1, 1)),
    )
    found = find_composition(measured, PROTEINS)
    signals = [PartSignal(k, "presence", found.parts[k - 1].probability) for k in found.optional]
    pairs = find_coordination(signals, np.zeros(count, dtype=np.int64), found, permutations=99)
    return found, assembly_graph(found, pairs)


def test_the_graph_of_the_particles_agrees_with_their_table_and_not_with_a_shuffled_one():
    index, true = particles(5)
    composition, graph = graph_of(true)
    requirements = [(f"part_{r.earlier}", f"part_{r.later}") for r in graph.requirements]
    presence = presence_of(composition.probability)
    chains = {part: [name] for part, name in PARTS.items()}
    options = {"chains": chains, "requirements": requirements}
    found = assembly_agreement(presence, index, MAPS, TABLE, **options)
    assert sorted(requirements) == [
        ("part_1", "part_2"), ("part_1", "part_3"), ("part_2", "part_3")
    ]  # fmt: skip
    assert (found.upheld, found.requirements) == (3, 3)
    assert found.mean_correlation > 0.99
    turned = ProteinOccupancies(TABLE.maps, PROTEINS, STEPS[:, [3, 2, 0, 1]])
    other = assembly_agreement(presence, index, MAPS, turned, **options)
    assert other.upheld < 2
    assert other.mean_correlation < 0.5
    # the same parts, each in particles drawn anew: nothing is bound to anything
    rng = np.random.default_rng(6)
    loose = np.column_stack([rng.permutation(column) for column in true.T])
    assert graph_of(loose)[1].requirements == ()


def test_the_maps_of_the_assembling_ribosome_are_in_their_table(reference_data):
    path = reference_data / "maps" / "assembly" / "protein_occupancies.csv"
    if not path.is_file():
        pytest.skip(f"no {path}")
    table = read_protein_occupancies(path)
    assert table.values.shape == (len(table.maps), len(table.proteins))
    assert len(table.maps) == 20
    assert 0 <= table.values.min() < 0.2 < table.values.max() == 1
    names = sorted(file.name for file in path.parent.glob("vol_*.mrc"))
    row = [table.maps.index(name[4:7].lstrip("0")) for name in names]
    index = np.repeat(np.arange(20), 5)
    presence = {name: table.values[row, k][index] for k, name in enumerate(table.proteins)}
    found = assembly_agreement(
        presence, index, names, table, chains={name: [name] for name in presence}
    )
    assert found.mean_correlation == pytest.approx(1.0)
    assert min(p.agreement for p in found.parts) == 1.0
