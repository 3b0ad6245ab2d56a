from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryoparts.errors import InputError
from cryoparts.simulation.structures.cutting import cut_structure
from cryoparts.simulation.structures.toy_complex import toy_complex


@pytest.fixture(scope="module")
def complex_():
    return toy_complex(1)


def test_pieces_vary_severalfold_and_are_ordered_by_mass(complex_):
    piece = cut_structure(complex_, 9, np.random.default_rng(0))
    masses = np.bincount(piece, weights=complex_.masses)
    assert len(masses) == 9
    assert (np.diff(masses) <= 0).all()
    assert 3.0 < masses[0] / masses[-1] < 8.0


def test_pieces_are_compact(complex_):
    piece = cut_structure(complex_, 9, np.random.default_rng(0))
    positions = complex_.positions.astype(float)
    centres = np.stack([positions[piece == p].mean(axis=0) for p in range(9)])
    within = np.mean(((positions - centres[piece]) ** 2).sum(axis=1))
    scattered = np.mean(((positions - positions.mean(axis=0)) ** 2).sum(axis=1))
    assert within < 0.35 * scattered


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), n_pieces=st.integers(2, 12), keep_chains=st.booleans())
def test_residues_and_chains_stay_whole_and_no_piece_is_empty(seed, n_pieces, keep_chains):
    rng = np.random.default_rng(seed)
    whole = toy_complex(0)
    rows = np.sort(rng.choice(len(whole), 400, replace=False))
    fields = {
        name: values[rows] for name, values in vars(whole).items() if isinstance(values, np.ndarray)
    }
    structure = replace(whole, **fields)
    structure = replace(
        structure,
        residue_numbers=structure.residue_numbers // 60,
        chain_ids=np.array([f"c{n}" for n in rng.integers(0, 12, 400)]),
    )
    piece = cut_structure(structure, n_pieces, rng, keep_chains=keep_chains)
    assert set(piece) == set(range(n_pieces))
    held: dict[object, set[int]] = {}
    for chain, number, p in zip(structure.chain_ids, structure.residue_numbers, piece, strict=True):
        held.setdefault(chain if keep_chains else (chain, number), set()).add(int(p))
    assert all(len(pieces) == 1 for pieces in held.values())


def test_more_pieces_than_chains_are_refused(blob):
    with pytest.raises(InputError, match="number of chains, 3, got 4"):
        cut_structure(blob, 4, np.random.default_rng(0), keep_chains=True)
