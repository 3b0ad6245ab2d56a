from __future__ import annotations

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.reconstruction.solvent_mask import solvent_mask
from toy_particles import Blobs

BOX, PIXEL = 40, 4.0


def density(*centres: float, seed: int) -> np.ndarray:
    """Balls of blobs at places on the x axis (Å), in noise."""
    rng = np.random.default_rng(seed)
    points = np.concatenate(
        [rng.normal(scale=9, size=(60, 3)) + np.array([x, 0, 0]) for x in centres]
    )
    clean = Blobs(points, np.ones(len(points)), 5.0).map(BOX, PIXEL)
    return clean + 0.15 * clean.std() * rng.normal(size=clean.shape)


def at(mask: np.ndarray, x: float) -> float:
    return float(mask[BOX // 2, BOX // 2, BOX // 2 + round(x / PIXEL)])


def test_it_holds_the_molecule_and_leaves_the_solvent():
    mask = solvent_mask([density(-30, seed=0)], PIXEL)
    assert at(mask, -30) == 1
    assert at(mask, 40) == 0
    assert 0 <= mask.min() <= mask.max() <= 1
    assert 0.03 < mask.mean() < 0.25


def test_what_one_state_alone_has_is_in_the_mask_of_all():
    with_part = density(-30, 35, seed=0)
    states = [with_part, density(-30, seed=1), density(-30, seed=2)]
    assert at(solvent_mask(states, PIXEL), 35) == 1
    assert at(solvent_mask(states[1:], PIXEL), 35) == 0


def test_noise_alone_is_no_molecule():
    noise = np.random.default_rng(0).normal(size=(BOX,) * 3)
    with pytest.raises(InputError, match="no density stands out"):
        solvent_mask([noise], PIXEL)


def test_edge_is_soft_and_as_wide_as_asked():
    inner, outer = (
        solvent_mask([density(0, seed=0)], PIXEL, extend_pixels=extend, edge_pixels=4)
        for extend in (1, 4)
    )
    line = inner[BOX // 2, BOX // 2, BOX // 2 :]
    assert 2 <= ((line > 0) & (line < 1)).sum() <= 4
    assert (outer >= inner).all()
    assert outer.sum() > 1.3 * inner.sum()
