from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.io.mrc import write_stack
from cryoparts.particle_files.symmetry import expanded
from cryoparts.particles import particle_set as module
from cryoparts.particles.blank_images import blank_error, blank_rows
from cryoparts.particles.particle_set import ParticleSet


def test_images_come_in_the_order_asked_for_from_any_number_of_stacks(
    tmp_path: Path, simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN_STACKS", 2)
    rng = np.random.default_rng(0)
    images = rng.normal(size=(20, 64, 64)).astype(np.float32)
    paths = tuple(tmp_path / f"p{i}.mrcs" for i in range(5))
    stack = np.arange(20) % 5
    slices = np.arange(20) // 5
    for number, path in enumerate(paths):
        write_stack(
            path, iter([images[stack == number]]), count=4, box_size=64, pixel_size_angstrom=2.0
        )
    table = replace(
        simulate(tmp_path), stack_paths=paths, stack_of_particle=stack, slice_in_stack=slices
    )
    particles = ParticleSet(table)
    wanted = rng.permutation(20)
    np.testing.assert_array_equal(particles.images(wanted), images[wanted])
    np.testing.assert_array_equal(particles.images([7, 7, 1]), images[[7, 7, 1]])
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda i: particles.images([i])[0], range(20)))
    np.testing.assert_array_equal(np.stack(read), images)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_image_that_is_not_finite_is_named(tmp_path: Path, simulate, value: float) -> None:
    table = simulate(tmp_path)
    with mrcfile.mmap(table.stack_paths[0], mode="r+") as file:
        file.data[13, 5, 6] = value
    particles = ParticleSet(table)
    assert np.isfinite(particles.images(np.arange(13))).all()
    with pytest.raises(InputError, match="NaN or infinity") as caught:
        particles.images([2, 13, 14])
    assert "000014@s0.mrcs" in caught.value.where
    assert "image 14" in caught.value.problem


def test_stacks_are_checked_when_the_set_is_made(tmp_path: Path, simulate) -> None:
    table = simulate(tmp_path)
    with pytest.raises(InputError, match="asks for image 21"):
        ParticleSet(replace(table, slice_in_stack=np.arange(20) + 1))
    with pytest.raises(InputError, match="a box of 62"):
        ParticleSet(replace(table, box_size=np.full(20, 62)))
    table.stack_paths[0].unlink()
    with pytest.raises(InputError, match="no such file") as caught:
        ParticleSet(table)
    assert "--datadir" in caught.value.cure


def test_a_blank_image_is_found_once_with_all_its_rows(tmp_path: Path, table_maker) -> None:
    images = np.random.default_rng(0).normal(size=(4, 16, 16)).astype(np.float32)
    images[[1, 3]] = 2.5
    stack = tmp_path / "s.mrcs"
    write_stack(stack, iter([images]), count=4, box_size=16, pixel_size_angstrom=2.5)
    table = expanded(table_maker(stack), "C3")
    particles = ParticleSet(table)
    seen = []
    rows = blank_rows(particles, None, lambda _, count: seen.append(count))
    assert rows.tolist() == [3, 4, 5, 9, 10, 11]
    assert set(seen) == {4}
    assert blank_rows(particles, np.array([11, 0, 4])).tolist() == [11, 4]
    assert "2 of 4 images are blank" in str(blank_error(particles))
    assert "000002@s.mrcs, 000004@s.mrcs." in str(blank_error(particles))
