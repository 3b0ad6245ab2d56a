from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from cryoparts.config import PreprocessingConfig
from cryoparts.conventions import Aberrations, Poses, with_aberrations
from cryoparts.errors import InputError
from cryoparts.particle_files.row_identity import row_names
from cryoparts.particles.particle_set import ParticleSet
from cryoparts.particles.pose_change import PoseChange, PoseSpread
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.particles.preprocessing import prepare


@pytest.fixture
def prepared(tmp_path: Path, simulate) -> PreparedParticles:
    config = PreprocessingConfig(box_size=32, contrast="bright")
    return prepare(ParticleSet(simulate(tmp_path)), tmp_path / "out", config)


def test_the_contrast_sign_is_applied_on_reading_and_kept(prepared: PreparedParticles) -> None:
    before = prepared.images([4, 2])
    dark = prepared.with_contrast_sign(-1)
    torch.testing.assert_close(dark.images([4, 2]), -before)
    again = PreparedParticles.open(prepared.folder)
    assert again.contrast_sign == -1
    torch.testing.assert_close(again.images([4, 2]), -before)
    torch.testing.assert_close(prepared.images([4, 2]), before)
    with pytest.raises(ValueError, match="not 0"):
        prepared.with_contrast_sign(0)


def test_images_are_copies(prepared: PreparedParticles) -> None:
    first = prepared.images([1])
    kept = first.clone()
    first += 5
    torch.testing.assert_close(prepared.images([1]), kept)
    assert prepared.images([]).shape == (0, 32, 32)


def test_image_means_are_read_in_batches(prepared: PreparedParticles, monkeypatch) -> None:
    expected = prepared.images(np.arange(len(prepared))).double().mean(dim=(1, 2)).numpy()
    asked = []
    images = PreparedParticles.images

    def counted(self, rows):
        asked.append(len(rows))
        return images(self, rows)

    monkeypatch.setattr(PreparedParticles, "images", counted)
    monkeypatch.setattr("cryoparts.particles.prepared._BATCH_BYTES", 2 * 32 * 32 * 4)
    np.testing.assert_allclose(prepared.image_means(), expected, atol=1e-6)
    assert max(asked) == 2
    assert sum(asked) == len(prepared)
    dark = replace(prepared, contrast_sign=-prepared.contrast_sign)
    np.testing.assert_allclose(dark.image_means(), -expected, atol=1e-6)


def test_rows_of_one_image_share_a_working_image(tmp_path: Path, simulate) -> None:
    table = simulate(tmp_path)
    rows = np.array([3, 0, 3, 1, 0, 3])
    expanded = replace(
        table.take(rows),
        names=row_names(table.names[rows]),
        image_names=table.names[rows],
        half_set=np.array([1, 2, 2, 1, 2, 1], dtype=np.int8),
    )
    config = PreprocessingConfig(box_size=32, contrast="bright")
    made = prepare(ParticleSet(expanded), tmp_path / "made", config)
    plain = prepare(ParticleSet(table), tmp_path / "plain", config)
    again = PreparedParticles.open(made.folder)
    assert len(np.load(made.folder / "images.npy")) == again.image_count == 3
    assert again.image.tolist() == [0, 1, 0, 2, 1, 0]
    assert again.names.tolist() == expanded.names.tolist()
    assert again.image_names is not None
    assert again.image_names.tolist() == table.names[rows].tolist()
    assert again.half_set.tolist() == [1, 2, 1, 1, 2, 1]
    torch.testing.assert_close(again.images([5, 1, 2]), plain.images([3, 0, 3]))


def test_some_of_the_particles_keep_all_that_belongs_to_them(tmp_path: Path, simulate) -> None:
    table = simulate(tmp_path)
    rows = np.array([3, 0, 3, 1, 0, 3])
    expanded = replace(
        table.take(rows), names=row_names(table.names[rows]), image_names=table.names[rows]
    )
    config = PreprocessingConfig(box_size=32, contrast="dark")
    made = prepare(ParticleSet(expanded), tmp_path / "made", config)
    change = PoseChange(np.full((6, 3), 0.1), np.arange(12.0).reshape(6, 2), PoseSpread(0.1, 1.0))
    places = np.array([4, 3, 1])
    for every in (made, made.with_pose_change(change)):
        few = every.take(places)
        assert len(few) == 3
        assert few.names.tolist() == every.names[places].tolist()
        assert few.image_names is not None
        assert few.image_names.tolist() == table.names[rows[places]].tolist()
        assert (few.image.tolist(), few.image_count) == ([0, 1, 0], 2)
        torch.testing.assert_close(few.images([2, 1]), every.images(places[[2, 1]]))
        np.testing.assert_array_equal(few.poses.rotation, every.poses.rotation[places])
        np.testing.assert_array_equal(
            few.ctf.defocus_u_angstrom, every.ctf.defocus_u_angstrom[places]
        )
        assert few.poses_refined == every.poses_refined
        given = few.with_given_poses().poses
        np.testing.assert_array_equal(given.shift_angstrom, made.poses.shift_angstrom[places])
    again = made.take(places).with_pose_change(change.take(places))
    np.testing.assert_allclose(again.poses.rotation, few.poses.rotation)
    assert len(PoseChange.nothing().take(places)) == 0


def test_rows_whose_mask_lies_elsewhere_have_their_own_working_image(
    tmp_path: Path, simulate
) -> None:
    table = simulate(tmp_path)
    moved = table.poses.shift_angstrom[[2, 2]] + np.array([[0, 0], [6.0, 0]])
    twice = replace(
        table.take([2, 2]),
        names=np.array(["a#1", "a#2"]),
        image_names=np.array(["a", "a"]),
        poses=Poses(table.poses.rotation[[2, 2]], moved),
    )
    config = PreprocessingConfig(box_size=32, contrast="bright")
    made = prepare(ParticleSet(twice), tmp_path / "made", config)
    assert made.image.tolist() == [0, 0]
    assert made.working_image.tolist() == [0, 1]
    assert not torch.allclose(made.images([0]), made.images([1]))


def test_folders_without_repeated_images_hold_what_they_always_held(
    prepared: PreparedParticles,
) -> None:
    with np.load(prepared.folder / "particles.npz") as stored:
        assert not {"image", "working_image", "image_names"} & set(stored.files)
    assert prepared.image.tolist() == list(range(len(prepared)))


def test_no_pickle_is_stored(prepared: PreparedParticles) -> None:
    with np.load(prepared.folder / "particles.npz", allow_pickle=False) as stored:
        assert all(stored[name].dtype != object for name in stored.files)


def shorten(folder: Path) -> None:
    path = folder / "images.npy"
    path.write_bytes(path.read_bytes()[:-10])


def fewer(folder: Path) -> None:
    np.save(folder / "images.npy", np.zeros((3, 32, 32), np.float32))


def repeated_names(folder: Path) -> None:
    with np.load(folder / "particles.npz") as stored:
        columns = dict(stored)
    columns["names"][1] = columns["names"][0]
    np.savez(folder / "particles.npz", **columns)


def negative_image(folder: Path) -> None:
    with np.load(folder / "particles.npz") as stored:
        columns = dict(stored)
    count = len(columns["names"])
    numbers = {"image": np.arange(count), "working_image": np.arange(count) - 1}
    np.savez(folder / "particles.npz", **columns | numbers)


def other_count(folder: Path) -> None:
    with np.load(folder / "particles.npz") as stored:
        columns = dict(stored)
    np.savez(folder / "particles.npz", **columns | {"half_set": columns["half_set"][:5]})


def no_column(folder: Path) -> None:
    with np.load(folder / "particles.npz") as stored:
        columns = dict(stored)
    columns.pop("voltage_kv")
    np.savez(folder / "particles.npz", **columns)


def wrong_sign(folder: Path) -> None:
    path = folder / "preprocessing.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"contrast_sign": 0}))


def no_pixel(folder: Path) -> None:
    path = folder / "preprocessing.json"
    details = json.loads(path.read_text())
    details.pop("pixel_size_angstrom")
    path.write_text(json.dumps(details))


def broken_json(folder: Path) -> None:
    (folder / "preprocessing.json").write_text("{")


def broken_table(folder: Path) -> None:
    (folder / "particles.npz").write_bytes(b"PK\x03\x04 no archive")


@pytest.mark.parametrize(
    "spoil",
    [
        shorten,
        fewer,
        other_count,
        no_column,
        wrong_sign,
        no_pixel,
        broken_json,
        broken_table,
        repeated_names,
        negative_image,
    ],
)
def test_a_damaged_folder_is_refused_with_its_cure(prepared: PreparedParticles, spoil) -> None:
    spoil(prepared.folder)
    with pytest.raises(InputError) as caught:
        PreparedParticles.open(prepared.folder)
    assert str(prepared.folder) in caught.value.where
    assert "Delete the folder" in caught.value.cure


@pytest.mark.parametrize("name", ["images.npy", "particles.npz", "preprocessing.json"])
def test_a_missing_file_is_refused(prepared: PreparedParticles, name: str) -> None:
    (prepared.folder / name).unlink()
    with pytest.raises(InputError, match="no such file") as caught:
        PreparedParticles.open(prepared.folder)
    assert name in caught.value.where


def test_aberrations_of_the_optics_groups_are_kept(tmp_path, simulate):
    table = simulate(tmp_path)
    group = np.arange(len(table)) % 2
    zernike = Aberrations(np.array([[1.0, 2, 3], [0, 0, 4]]), np.array([[0.5], [0.0]]), group)
    table = replace(table, ctf=with_aberrations(table.ctf, zernike))
    made = prepare(ParticleSet(table), tmp_path / "out", PreprocessingConfig())
    kept = PreparedParticles.open(made.folder).ctf.take([3, 2]).aberrations
    assert np.array_equal(kept.odd_zernike, zernike.odd_zernike)
    assert np.array_equal(kept.even_zernike, zernike.even_zernike)
    assert kept.group.tolist() == [1, 0]
