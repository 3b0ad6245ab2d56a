from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.io.tables import load_array, write_table
from cryoparts.parts.part_labels import PartLabels


@pytest.fixture
def labels() -> PartLabels:
    rng = np.random.default_rng(0)
    blocks = [rng.random(size=(20, 3)) + np.array([x, 0, 0]) for x in (0, 4, 8, 12)]
    number = np.repeat([0, 1, 2, 1], 20)
    number[3] = -1
    return PartLabels(
        labels=number,
        embedding=rng.normal(size=(80, 2)),
        positions=np.concatenate(blocks),
        amplitude_change=rng.random(80),
        displacement_rms_angstrom=rng.random(80) * 3,
        method="umap",
    )


def test_save_and_load(labels, tmp_path):
    labels.save(tmp_path / "parts")
    back = PartLabels.load(tmp_path / "parts")
    np.testing.assert_array_equal(back.labels, labels.labels)
    np.testing.assert_allclose(back.positions, labels.positions, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(back.amplitude_change, labels.amplitude_change, rtol=1e-5)
    assert back.method == "umap"
    assert load_array(tmp_path / "parts" / "embedding.npy").shape == (80, 2)
    assert not list(tmp_path.rglob("*.partial*"))


def test_table_of_parts(labels, tmp_path):
    labels.save(tmp_path)
    with (tmp_path / "parts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [r["part"] for r in rows] == ["core", "part_1", "part_2"]
    assert [int(r["gaussians"]) for r in rows] == [19, 40, 20]
    assert [int(r["pieces"]) for r in rows] == [1, 2, 1]
    assert float(rows[2]["x"]) == pytest.approx(labels.positions[40:60, 0].mean(), rel=1e-5)
    rms = np.sqrt((labels.displacement_rms_angstrom[40:60] ** 2).mean())
    assert float(rows[2]["displacement_rms_angstrom"]) == pytest.approx(rms, rel=1e-5)
    assert json.loads((tmp_path / "summary.json").read_text())["unassigned"] == 1


def test_part_names(labels):
    assert labels.part_names == ("part_1", "part_2")
    assert labels.part_number("part_2") == labels.part_number("2") == 2
    with pytest.raises(InputError, match=r"no part 'part_3'.*part_1, part_2"):
        labels.part_number("part_3")


def test_wrong_folders(tmp_path):
    with pytest.raises(InputError, match="cryoparts parts"):
        PartLabels.load(tmp_path)
    (tmp_path / "labels.npy").write_bytes(b"no array")
    with pytest.raises(InputError, match=r"labels\.npy"):
        load_array(tmp_path / "labels.npy")


def test_shapes_are_checked():
    with pytest.raises(ValueError, match="embedding"):
        PartLabels(
            np.zeros(3, int), np.zeros((2, 2)), np.zeros((3, 3)), np.zeros(3), np.zeros(3), "pca"
        )


def test_table_keeps_commas_and_refuses_ragged_columns(tmp_path):
    write_table(tmp_path / "t.csv", {"name": np.array(["a,b", "c"]), "value": np.array([1e-9, 2])})
    with (tmp_path / "t.csv").open() as file:
        assert list(csv.reader(file)) == [["name", "value"], ["a,b", "1e-09"], ["c", "2"]]
    with pytest.raises(ValueError, match="equally long"):
        write_table(tmp_path / "u.csv", {"a": np.zeros(2), "b": np.zeros(3)})
    assert not (tmp_path / "u.csv").exists()
