"""Options that change a file's conventions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.conventions import Aberrations, with_aberrations
from cryoparts.particle_files.mending import AS_GIVEN, Mending

EVERY = [Mending(*(bool(n & bit) for bit in (1, 2, 4, 8))) for n in range(16)]


def test_every_combination_has_its_own_words_and_options():
    assert len({m.label for m in EVERY}) == 16
    assert EVERY[0].label == AS_GIVEN
    assert len(list(Mending.all_of(aberrations=False))) == 8
    assert list(Mending.all_of(aberrations=True))[8:] == [Mending(invert_aberrations=True)]
    both = Mending(transpose_poses=True, mirror_hand=True)
    assert both.options == "--transpose-poses --mirror-hand"
    assert both.label == "rotations transposed, mirror hand"


@pytest.mark.parametrize("mending", EVERY, ids=lambda m: m.label)
def test_each_is_its_own_inverse_and_keeps_rotations(tmp_path, table_maker, mending):
    table = table_maker(tmp_path / "s.mrcs", 6)
    zernike = Aberrations(np.ones((1, 6)), np.ones((1, 4)), np.zeros(6, dtype=np.int64))
    table = replace(table, ctf=with_aberrations(table.ctf, zernike))
    once = mending.table(table)
    assert np.allclose(np.linalg.det(once.poses.rotation), 1)
    twice = mending.table(once)
    assert np.allclose(twice.poses.rotation, table.poses.rotation)
    assert np.array_equal(twice.poses.shift_angstrom, table.poses.shift_angstrom)
    assert np.array_equal(twice.ctf.aberrations.odd_zernike, zernike.odd_zernike)
    assert np.array_equal(once.ctf.aberrations.even_zernike, zernike.even_zernike)
    for other in EVERY:
        joined = mending.combined(other).table(table)
        assert np.allclose(joined.poses.rotation, other.table(once).poses.rotation)


def test_mirrored_poses_show_the_mirrored_model(tmp_path, table_maker):
    """P R (M X) = P (M R M) X: the sum along z does not see the sign of the image's z."""
    table = table_maker(tmp_path / "s.mrcs", 6)
    points = np.random.default_rng(0).normal(size=(9, 3))
    mirrored = points * [1, 1, -1]
    mended = Mending(mirror_hand=True).poses(table.poses).rotation
    seen = np.einsum("pij,nj->pni", mended, points)[..., :2]
    assert np.allclose(seen, np.einsum("pij,nj->pni", table.poses.rotation, mirrored)[..., :2])


def test_nothing_changes_without_an_option(tmp_path, table_maker):
    table = table_maker(tmp_path / "s.mrcs", 6)
    assert Mending().table(table) is table
