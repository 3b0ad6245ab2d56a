from __future__ import annotations

import csv
import json
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from cryoparts.config import ReconstructionConfig
from cryoparts.conventions import Poses
from cryoparts.difference_maps.map_files import difference_name, write_part_maps
from cryoparts.difference_maps.part_maps import Comparison, Group, reconstruct_groups
from cryoparts.difference_maps.surroundings import Atoms, Surroundings
from cryoparts.imaging.soft_mask import mask_around, soft_sphere
from cryoparts.io.mrc import read_map
from toy_particles import Blobs, random_blobs, toy_particles

BOX, PIXEL = 24, 6.0
WHOLE = random_blobs(1, width=8.0)
FAR = np.argsort(-WHOLE.positions[:, 0])[:8]
KEPT = np.setdiff1d(np.arange(40), FAR)


@pytest.fixture(scope="module")
def particles():
    """The first 160 lack the eight blobs of largest x, the other 240 have them."""
    partial = Blobs(WHOLE.positions[KEPT], WHOLE.amplitudes[KEPT], WHOLE.width)
    lacking, having = (
        toy_particles(blobs, count, BOX, PIXEL, noise=1.0, seed=seed)
        for seed, (blobs, count) in enumerate(((partial, 160), (WHOLE, 240)))
    )
    ctf = type(lacking.ctf)(
        **{f.name: np.concatenate([getattr(lacking.ctf, f.name), getattr(having.ctf, f.name)])
           for f in fields(lacking.ctf)}
    )  # fmt: skip
    return replace(
        lacking,
        poses=Poses(
            np.concatenate([lacking.poses.rotation, having.poses.rotation]),
            np.concatenate([lacking.poses.shift_angstrom, having.poses.shift_angstrom]),
        ),
        ctf=ctf,
        half_set=np.concatenate([lacking.half_set, having.half_set]),
        data=torch.cat([lacking.data, having.data]),
    )


@pytest.fixture(scope="module")
def surroundings():
    labels = np.zeros(40, dtype=np.int64)
    labels[FAR] = 1
    chains = np.where(labels == 1, "Q", "A")
    atoms = Atoms(WHOLE.positions, chains, np.arange(1, 41), np.full(40, "ALA"))
    return Surroundings(WHOLE.positions, labels, ("core", "lobe"), atoms)


PLAIN = ReconstructionConfig()


def make(particles, options=PLAIN, **changes):
    groups = [
        Group("state_1", np.arange(160, 400)),
        Group("state_2", np.arange(160)),
        Group("state_3", np.arange(0)),
    ]
    radius = 2.5 * WHOLE.width
    compared = Comparison(
        tuple(groups),
        (("state_1", "state_2"), ("state_1", "state_3")),
        mask_around(WHOLE.positions[FAR], BOX, PIXEL, radius_angstrom=WHOLE.width),
    )
    model_mask = mask_around(WHOLE.positions, BOX, PIXEL, radius_angstrom=radius)
    (maps,) = reconstruct_groups(particles, [compared], options, model_mask=model_mask, **changes)
    return maps


@pytest.fixture(scope="module")
def folder(particles, surroundings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps") / "part_1"
    folder.mkdir()
    for name in ("state_9.mrc", "difference_7_minus_9_z.mrc", "mine.mrc"):
        (folder / name).write_bytes(b"of an earlier time")
    options = ReconstructionConfig(b_factor=-150.0)
    write_part_maps(folder, make(particles, options), surroundings, {"made_by": "a test"})
    return folder


def read_rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_files_of_states(folder):
    assert {path.name for path in folder.iterdir()} == {
        *(f"state_{k}{kind}.mrc" for k in (1, 2)
          for kind in ("", "_half1", "_half2", "_sharpened")),
        *(f"difference_1_minus_2{kind}.mrc" for kind in ("", "_z", "_significant")),
        "mask.mrc", "mask_part.mrc", "mine.mrc",
        "fsc.csv", "peaks.csv", "changes.csv", "summary.json",
    }  # fmt: skip
    for name in ("state_1", "difference_1_minus_2_z", "mask"):
        density, voxel, origin = read_map(folder / f"{name}.mrc")
        assert density.shape == (BOX,) * 3
        assert voxel == pytest.approx(PIXEL)
        # the box centre, voxel 12, at (0, 0, 0)
        np.testing.assert_allclose(origin, -12 * PIXEL)


def test_the_difference_lights_up_the_missing_part_alone(folder):
    peaks = read_rows(folder / "peaks.csv")
    assert {(p["difference"], p["part"], p["chain"], p["change"]) for p in peaks} == {
        ("difference_1_minus_2", "lobe", "Q", "gained")
    }
    found = {(r["kind"], r["name"]): r for r in read_rows(folder / "changes.csv")}
    assert float(found["part", "lobe"]["share_gained"]) > 0.8
    assert float(found["chain", "A"]["share_gained"]) < 0.2
    assert float(found["part", "core"]["share_lost"]) < 0.05
    summary = json.loads((folder / "summary.json").read_text())["differences"]
    power = summary["difference_1_minus_2"]["share_of_significant_power"]
    assert power["lobe"] > 0.8


def test_tables_and_summary(folder):
    rows = read_rows(folder / "fsc.csv")
    assert len(rows) == BOX // 2 + 1
    assert float(rows[4]["resolution_angstrom"]) == pytest.approx(BOX * PIXEL / 4)
    for kind in ("", "_unmasked", "_masked", "_randomised", "_within_part", "_ln_amplitude"):
        assert f"state_2{kind}" in rows[0]
    assert float(rows[3]["state_1_masked"]) >= float(rows[3]["state_1"]) - 1e-5
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["made_by"] == "a test"
    assert summary["states"]["state_1"]["particles"] == 240
    assert summary["states"]["state_1"]["b_factor_applied"] == -150
    assert summary["states"]["state_3"] == {"particles": 0, "note": "no particles"}
    # the part is not there in state 2: nothing of it can be resolved as well as in state 1
    within = [summary["states"][f"state_{k}"]["resolution_within_part_angstrom"] for k in (1, 2)]
    assert within[1] is None or within[1] >= within[0]
    assert list(summary["differences"]) == ["difference_1_minus_2"]


def test_masks(particles):
    assert "density" in make(particles).mask_source
    given = soft_sphere(BOX, 10)
    np.testing.assert_array_equal(make(particles, given_mask=given).mask, given)
    by_model = make(particles, ReconstructionConfig(solvent_mask="model"))
    assert "Gaussians" in by_model.mask_source
    inside = make(particles, ReconstructionConfig(test_within="part"))
    difference = inside.differences["state_1", "state_2"]
    assert difference.tested.sum() == (inside.part_mask > 0.5).sum() < (inside.mask > 0.5).sum()


def test_names_of_differences():
    assert difference_name("state_1", "state_12") == "difference_1_minus_12"
    assert difference_name("frame_5", "frame_1") == "difference_5_minus_1"
    assert difference_name("selected", "rest") == "difference_selected_minus_rest"


@pytest.mark.parametrize("options", [PLAIN, ReconstructionConfig(memory_gigabytes=1e-9)])
def test_several_comparisons_are_the_same_whether_they_are_made_at_once_or_not(particles, options):
    rows = np.arange(400)
    compared = [
        Comparison(
            (Group("state_1", rows[k % 2 :: 2]), Group("state_2", rows[1 - k % 2 :: 2])),
            (("state_1", "state_2"),),
        )
        for k in range(5)
    ]
    model_mask = mask_around(WHOLE.positions, BOX, PIXEL, radius_angstrom=2.5 * WHOLE.width)
    alone, together = (
        list(
            reconstruct_groups(particles, compared, options, model_mask=model_mask, threads=threads)
        )
        for threads in (1, 4)
    )
    for one, other in zip(alone, together, strict=True):
        for name, made in one.groups.items():
            # threads sum images in another order
            expected = made.reconstruction.map
            found = other.groups[name].reconstruction.map
            np.testing.assert_allclose(found, expected, atol=2e-5 * expected.std())
        (difference,) = one.differences
        np.testing.assert_allclose(
            other.differences[difference].density,
            one.differences[difference].density,
            atol=1e-4 * one.groups["state_1"].reconstruction.map.std(),
        )


def test_of_no_comparison_there_are_no_maps(particles):
    no_mask = np.ones((particles.box_size,) * 3)
    assert not list(reconstruct_groups(particles, [], PLAIN, model_mask=no_mask))
