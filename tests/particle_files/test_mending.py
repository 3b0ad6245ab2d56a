"""Options that change a file's conventions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cryoparts.conventions import Aberrations, with_aberrations
from cryoparts.errors import InputError
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


MOVED = (
    Mending(model_axes="-x,y,z"),
    Mending(model_axes="z,y,x", model_shift_angstrom=(3.0, -1.0, 2.0)),
    Mending(mirror_hand=True, model_axes="-y,x,z", model_shift_angstrom=(1.0, 4.0, 0.0)),
    Mending(mirror_hand=True, invert_shifts=True),
)


@pytest.mark.parametrize("mending", MOVED, ids=lambda m: m.label)
def test_the_model_as_given_is_seen_where_the_changed_one_was(tmp_path, table_maker, mending):
    """P (R A X + R d) + t: axes and place of the model are taken up by the poses."""
    table = table_maker(tmp_path / "s.mrcs", 6)
    points = np.random.default_rng(0).normal(size=(9, 3))
    mended = mending.poses(table.poses)
    assert np.allclose(np.linalg.det(mended.rotation), 1)
    seen = np.einsum("pij,nj->pni", mended.rotation, points)[..., :2]
    seen += mended.shift_angstrom[:, None]
    changed = (points + np.array(mending.model_shift_angstrom)) @ mending.reference.T
    shift = -table.poses.shift_angstrom if mending.invert_shifts else table.poses.shift_angstrom
    wanted = np.einsum("pij,nj->pni", table.poses.rotation, changed)[..., :2] + shift[:, None]
    assert np.allclose(seen, wanted)
    for other in MOVED:
        joined = mending.combined(other).poses(table.poses)
        after = other.poses(mended)
        assert np.allclose(joined.rotation, after.rotation)
        assert np.allclose(joined.shift_angstrom, after.shift_angstrom)


def test_axes_are_named_and_come_back():
    ways = list(Mending.all_axes())
    assert len({way.model_axes for way in ways}) == 46
    for way in ways:
        assert Mending().combined(way) == way
    assert Mending(model_axes="x,y,-z").combined(Mending(mirror_hand=True)) == Mending()
    told = Mending(model_axes="-x,y,z", model_shift_angstrom=(0.0, -5.0, 2.5))
    assert told.options == "--model-axes=-x,y,z --model-shift 0 -5 2.5"
    for wrong in ("x,y", "x,y,y", "x,y,w"):
        with pytest.raises(InputError, match="each once"):
            Mending(model_axes=wrong)


def test_nothing_changes_without_an_option(tmp_path, table_maker):
    table = table_maker(tmp_path / "s.mrcs", 6)
    assert Mending().table(table) is table
