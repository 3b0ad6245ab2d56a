from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch

from cryoparts.config import PreprocessingConfig
from cryoparts.errors import InputError
from cryoparts.imaging.ctf import contrast_transfer
from cryoparts.imaging.fourier import fourier_crop, inverse_transform, transform
from cryoparts.io.mrc import write_stack
from cryoparts.particles import preprocessing
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.particles.preprocessing import prepare
from cryoparts.particles.resampling import central, working_grid


def distances(prepared, row: int) -> np.ndarray:
    axis = (np.arange(prepared.box_size) - prepared.box_size // 2) * prepared.pixel_size_angstrom
    shift = prepared.poses.shift_angstrom[row]
    return np.hypot(axis[None, :] - shift[0], axis[:, None] - shift[1])


def test_order_names_poses_and_ctf_are_those_of_the_table(tmp_path: Path, simulate) -> None:
    table = simulate(tmp_path, 21)
    seen = []
    prepared = prepare(
        ParticleSet(table),
        tmp_path / "deep" / "out",
        PreprocessingConfig(box_size=32),
        lambda done, total: seen.append((done, total)),
    )
    assert len(prepared) == 21
    assert prepared.names.tolist() == table.names.tolist()
    np.testing.assert_array_equal(prepared.poses.rotation, table.poses.rotation)
    np.testing.assert_array_equal(prepared.poses.shift_angstrom, table.poses.shift_angstrom)
    np.testing.assert_array_equal(prepared.ctf.defocus_u_angstrom, table.ctf.defocus_u_angstrom)
    assert (prepared.box_size, prepared.pixel_size_angstrom) == (32, 4.0)
    assert set(prepared.half_set) == {1, 2}
    assert seen[-1] == (21, 21)


def test_batches_do_not_change_the_result(
    tmp_path: Path, simulate, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = simulate(tmp_path, 21)
    whole = prepare(ParticleSet(table), tmp_path / "a", PreprocessingConfig(box_size=32))
    monkeypatch.setattr(preprocessing, "VALUES_IN_A_BATCH", 4 * 64**2)
    parts = prepare(ParticleSet(table), tmp_path / "b", PreprocessingConfig(box_size=32))
    torch.testing.assert_close(whole.images(np.arange(21)), parts.images(np.arange(21)))
    assert whole.contrast_sign == parts.contrast_sign


def test_background_is_normalised_outside_and_masked_beyond_the_edge(
    tmp_path: Path, simulate
) -> None:
    table = simulate(tmp_path, noise=2.0, offset=7.0)
    options = {"box_size": 64, "mask_radius_angstrom": 40.0, "contrast": "bright"}
    soft = prepare(
        ParticleSet(table), tmp_path / "a", PreprocessingConfig(mask_edge_pixels=5, **options)
    )
    raw = ParticleSet(table).images(np.arange(20))
    for row in range(20):
        distance = distances(soft, row)
        image = soft.images([row])[0].numpy()
        outside = raw[row][distance > 40]
        expected = (raw[row] - outside.mean()) / outside.std()
        np.testing.assert_allclose(image[distance <= 40], expected[distance <= 40], atol=2e-4)
        assert (image[distance > 50.01] == 0).all()
        edge = (distance > 40) & (distance < 50)
        assert (np.abs(image[edge]) <= np.abs(expected[edge]) + 1e-4).all()
        middle = np.abs(distance - 45) < 0.25
        np.testing.assert_allclose(image[middle], 0.5 * expected[middle], atol=0.09 * 4)


def test_without_normalisation_the_scale_stays(tmp_path: Path, simulate) -> None:
    table = simulate(tmp_path, noise=2.0, offset=50.0)
    config = PreprocessingConfig(normalise=False, contrast="bright", box_size=64)
    prepared = prepare(ParticleSet(table), tmp_path / "a", config)
    raw = ParticleSet(table).images([3])[0]
    near = distances(prepared, 3) < 40
    difference = raw[near] - prepared.images([3])[0].numpy()[near]
    # Only the level of the border is taken off, so that the mask makes no step.
    assert difference.std() < 1e-4
    assert difference.mean() == pytest.approx(50.0, abs=0.5)


def test_cropping_keeps_the_low_frequencies(tmp_path: Path, simulate) -> None:
    table = simulate(tmp_path, noise=0.5)
    config = PreprocessingConfig(box_size=32, contrast="bright", normalise=False)
    prepared = prepare(ParticleSet(table), tmp_path / "a", config)
    expected = fourier_crop(torch.from_numpy(ParticleSet(table).images([5])), 32)[0].numpy()
    near = distances(prepared, 5) < 50
    found = prepared.images([5])[0].numpy()
    difference = (expected - found)[near]
    assert difference.std() < 1e-5 * expected.std()


def test_optics_groups_come_to_one_pixel_size(tmp_path: Path, simulate) -> None:
    """The same molecule at 2.00, 2.03 and 1.57 Å and other boxes gives the same working images."""
    options = {"noise": 0.0, "count": 6}
    kinds = [(64, 2.0), (64, 2.03), (90, 1.57)]
    tables = [
        simulate(tmp_path / str(i), box=b, pixel=p, **options)
        for i, (b, p) in enumerate(kinds)
        if not (tmp_path / str(i)).mkdir()
    ]
    reference = tables[0]
    count = 6 + 2 * 3  # the first kind is the commonest
    rows = np.concatenate([np.arange(6), [0, 1, 2], [0, 1, 2]])
    mixed = replace(
        reference.take(rows),
        stack_paths=tuple(t.stack_paths[0] for t in tables),
        stack_of_particle=np.repeat([0, 1, 2], [6, 3, 3]),
        pixel_size_angstrom=np.repeat([2.0, 2.03, 1.57], [6, 3, 3]),
        box_size=np.repeat([64, 64, 90], [6, 3, 3]),
        names=np.array([str(i) for i in range(count)]),
    )
    config = PreprocessingConfig(box_size=48, contrast="bright", mask_radius_angstrom=50)
    prepared = prepare(ParticleSet(mixed), tmp_path / "out", config)
    assert prepared.pixel_size_angstrom == pytest.approx(2.0 * 64 / 48)
    images = prepared.images(np.arange(count)).numpy()
    for other in (6, 9):
        for row in range(3):
            correlation = np.corrcoef(images[row].ravel(), images[other + row].ravel())[0, 1]
            assert correlation > 0.999, (other, row, correlation)
    errors = [kind["residual_scale_error"] for kind in prepared.details["raw_images"]]
    assert min(errors) == 0.0
    assert max(errors) < 1e-3


def test_a_wrong_scale_would_be_seen(tmp_path: Path, simulate) -> None:
    (tmp_path / "a").mkdir()
    table = simulate(tmp_path / "a", noise=0.0)
    (tmp_path / "b").mkdir()
    larger = simulate(tmp_path / "b", noise=0.0, pixel=2.2)
    config = PreprocessingConfig(box_size=48, contrast="bright", mask_radius_angstrom=50)
    a, b = (
        prepare(ParticleSet(t), tmp_path / f"o{i}", config).images([0]).numpy().ravel()
        for i, t in enumerate((table, larger))
    )
    assert np.corrcoef(a, b)[0, 1] < 0.99


def test_central_keeps_the_centre_pixel() -> None:
    for size in (6, 8, 9, 12, 13):
        image = torch.zeros(1, 9, 9)
        image[0, 4, 4] = 1
        moved = central(image, size)
        assert moved.shape == (1, size, size)
        assert moved[0, size // 2, size // 2] == 1


def test_phase_flipping_is_undone(tmp_path: Path, simulate) -> None:
    table = simulate(tmp_path, noise=0.3)
    raw = torch.from_numpy(ParticleSet(table).images(np.arange(20)))
    sign = torch.where(contrast_transfer(table.ctf, 64, 2.0) < 0, -1.0, 1.0)
    flipped = inverse_transform(transform(raw) * sign).numpy()
    path = tmp_path / "flipped.mrcs"
    write_stack(path, iter([flipped]), count=20, box_size=64, pixel_size_angstrom=2.0)
    config = PreprocessingConfig(box_size=32, contrast="bright")
    a = prepare(ParticleSet(table), tmp_path / "a", config)
    told = replace(table, stack_paths=(path,), phase_flipped=True)
    b = prepare(ParticleSet(told), tmp_path / "b", config)
    # The Nyquist row of an even box holds both signs and is not exact.
    torch.testing.assert_close(a.images([0, 7]), b.images([0, 7]), atol=5e-3, rtol=0)
    assert b.details["phase_flipping_undone"]


def test_all_blank_images_are_named_and_nothing_is_left(tmp_path: Path, simulate) -> None:
    table = simulate(tmp_path)
    with mrcfile.mmap(table.stack_paths[0], mode="r+") as file:
        file.data[4], file.data[11] = 3.0, 0.0
    with pytest.raises(InputError, match="blank") as caught:
        prepare(ParticleSet(table), tmp_path / "out", PreprocessingConfig())
    assert "2 of 20 images are blank" in caught.value.problem
    assert "000005@s0.mrcs, 000012@s0.mrcs" in caught.value.problem
    assert "--skip-blank" in caught.value.cure
    assert [p.name for p in tmp_path.iterdir()] == ["s0.mrcs"]


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (PreprocessingConfig(box_size=80), "at most the box of the images, 64"),
        (PreprocessingConfig(mask_radius_angstrom=65), "at most half the box, 64.0 Å"),
    ],
)
def test_options_that_do_not_fit_the_images(
    tmp_path: Path, simulate, config: PreprocessingConfig, problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        prepare(ParticleSet(simulate(tmp_path)), tmp_path / "out", config)
    assert not (tmp_path / "out").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path, simulate) -> None:
    table = simulate(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="not empty"):
        prepare(ParticleSet(table), tmp_path / "out", PreprocessingConfig())
    assert (tmp_path / "out" / "mine.txt").read_text() == "x"


def test_pixel_sizes_too_coarse_for_the_working_grid_are_refused(tmp_path: Path, simulate) -> None:
    table = simulate(tmp_path)
    coarser = replace(table, pixel_size_angstrom=np.where(np.arange(20) < 19, 2.0, 2.5))
    assert working_grid(coarser, 48).pixel_size == pytest.approx(2 * 64 / 48)
    with pytest.raises(InputError, match="cannot be brought") as caught:
        working_grid(coarser, 64)
    assert "smaller --box-size" in caught.value.cure
