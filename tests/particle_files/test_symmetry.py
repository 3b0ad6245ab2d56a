"""Point groups are groups with the programs' axes; copies show the symmetric molecule alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cryosparc.dataset import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from cryoparts.errors import InputError
from cryoparts.export.cryosparc import write_selected_cs
from cryoparts.export.relion import write_selected_star
from cryoparts.imaging.projection import project
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particle_files.symmetry import expanded, group_elements
from expanded_files import expanded_columns, expanded_star, save_columns

ORDERS = {"C1": 1, "C2": 2, "C7": 7, "D1": 2, "D2": 4, "D5": 10, "D3y": 6, "T": 12, "O": 24,
          "I": 60, "I1": 60, "I2": 60, "I3": 60, "I4": 60}  # fmt: skip
HALF, THIRD, FIFTH = 180.0, 120.0, 72.0
GOLDEN = (1 + np.sqrt(5)) / 2
ROOT = np.sqrt(1 / 3)
RELION_AXES = {
    # by `relion_refine --print_symmetry_ops`
    "C5": [(FIFTH, (0, 0, 1))],
    "D3": [(THIRD, (0, 0, 1)), (HALF, (1, 0, 0))],
    "T": [(THIRD, (0, 0, 1)), (HALF, (0, np.sqrt(2), 1))],
    "O": [(THIRD, (1, 1, 1)), (90.0, (0, 0, 1))],
    "I": [(HALF, (0, 0, 1)), (FIFTH, (1, 0, GOLDEN)), (THIRD, (0, 0.356822076, 0.934172364))],
    "I1": [(HALF, (1, 0, 0)), (FIFTH, (GOLDEN, 0, -1)), (THIRD, (0.934172364, 0.356822076, 0))],
    "I3": [(HALF, (-1, 0, GOLDEN)), (FIFTH, (0, 0, 1)),
           (THIRD, (-0.491123478, 0.356822076, 0.794654475))],
    "I4": [(HALF, (1, 0, GOLDEN)), (FIFTH, (2, 0, 1)),
           (THIRD, (0.491123478, 0.356822076, 0.794654475))],
}  # fmt: skip


def among(elements: np.ndarray, degrees: float, axis: tuple[float, ...]) -> bool:
    vector = np.deg2rad(degrees) * np.array(axis) / np.linalg.norm(axis)
    wanted = Rotation.from_rotvec(vector).as_matrix()
    return bool(np.abs(elements - wanted).max(axis=(1, 2)).min() < 1e-6)


@pytest.mark.parametrize("name", ORDERS)
def test_the_elements_are_a_group(name: str) -> None:
    elements = group_elements(name)
    assert len(elements) == ORDERS[name]
    assert np.array_equal(elements[0], np.eye(3))
    np.testing.assert_allclose(np.linalg.det(elements), 1.0)
    identity = np.broadcast_to(np.eye(3), elements.shape)
    np.testing.assert_allclose(elements @ elements.transpose(0, 2, 1), identity, atol=1e-12)
    products = np.einsum("aij,bjk->abik", elements, elements).reshape(-1, 9)
    flat = elements.reshape(-1, 9)
    distance = np.abs(products[:, None] - flat).max(axis=2)
    # closed, and every row of the table of products has every element once
    assert distance.min(axis=1).max() < 1e-9
    table = distance.argmin(axis=1).reshape(len(elements), -1)
    assert all(sorted(row) == list(range(len(elements))) for row in [*table, *table.T])


@pytest.mark.parametrize("name", RELION_AXES)
def test_the_axes_are_relion_s(name: str) -> None:
    assert all(among(group_elements(name), *axis) for axis in RELION_AXES[name])


def test_the_two_fold_axis_of_a_dihedral_group_is_the_program_s() -> None:
    for elements, axis in (
        (group_elements("d5", "relion"), (1, 0, 0)),
        (group_elements("D5", "cryosparc"), (0, 1, 0)),
        (group_elements("D5x", "cryosparc"), (1, 0, 0)),
        (group_elements("D5y", "relion"), (0, 1, 0)),
    ):
        assert among(elements, HALF, axis)
        assert not among(elements, HALF, (*axis[1::-1], 0))
        assert among(elements, FIFTH, (0, 0, 1))


@pytest.mark.parametrize(
    ("name", "why"),
    [("helical", "helical symmetry is not supported"), ("H", "helical"), ("C0", "no point group"),
     ("C4h", "no point group"), ("4", "no point group"), ("I5", "no point group"),
     ("", "no point group"), ("C999999", "no point group")],
)  # fmt: skip
def test_what_is_no_point_group_is_refused(name: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        group_elements(name)


@settings(deadline=None, max_examples=15)
@given(st.sampled_from(["C3", "D2", "T", "O", "I3"]), st.integers(0, 99))
def test_all_copies_show_the_symmetric_molecule_alike(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    elements = group_elements(name)
    subunit = rng.normal(size=(3, 3)) * 12
    molecule = np.einsum("gij,nj->gni", elements, subunit).reshape(-1, 3)
    pose = Rotation.random(random_state=seed).as_matrix()
    copies = torch.as_tensor(pose @ elements, dtype=torch.float32)
    count = len(molecule)
    images = project(
        torch.as_tensor(molecule, dtype=torch.float32),
        torch.ones(count),
        torch.full((count,), 4.0),
        copies,
        32,
        3.0,
    )
    torch.testing.assert_close(images, images[:1].expand_as(images), rtol=2e-3, atol=2e-3)
    # and of one subunit alone, each copy shows another
    alone = np.einsum("gij,nj->gni", pose @ elements, subunit)
    assert np.abs(alone[1:] - alone[0]).max(axis=(1, 2)).min() > 1e-3


@pytest.fixture
def plain(tmp_path: Path, stack_maker) -> Path:
    stack_maker(tmp_path / "s.mrcs", count=5)
    expanded_star(tmp_path / "plain.star", "s.mrcs", 5, 1)
    return tmp_path / "plain.star"


def test_expanding_inside_is_as_the_expanded_file(plain: Path) -> None:
    expanded_star(plain.with_name("made.star"), "s.mrcs", 5, 4)
    inside = expanded(read_particles(plain), "C4")
    made = read_particles(plain.with_name("made.star"))
    assert inside.names.tolist() == made.names.tolist()
    assert inside.image.tolist() == made.image.tolist()
    assert inside.half_set.tolist() == np.repeat([1, 2, 1, 2, 1], 4).tolist()
    np.testing.assert_allclose(inside.poses.rotation, made.poses.rotation, atol=1e-6)
    np.testing.assert_array_equal(
        inside.poses.shift_angstrom, np.repeat(read_particles(plain).poses.shift_angstrom, 4, 0)
    )
    assert inside.image_names is not None
    assert inside.image_names[:5].tolist() == ["000001@s.mrcs"] * 4 + ["000002@s.mrcs"]
    assert expanded(read_particles(plain), "C1").names.tolist() == inside.image_names[::4].tolist()


def test_an_expanded_file_is_not_expanded_again(plain: Path) -> None:
    expanded_star(plain.with_name("made.star"), "s.mrcs", 5, 4)
    with pytest.raises(InputError, match=r"--symmetry C4: .*20 rows of 5 images.*already"):
        expanded(read_particles(plain.with_name("made.star")), "C4")


def test_cryosparc_poses_are_expanded_as_cryosparc_does(tmp_path: Path, stack_maker) -> None:
    stack_maker(tmp_path / "J1" / "s.mrcs", count=5)
    columns = expanded_columns(5, 3)
    made = read_particles(save_columns(tmp_path / "made.cs", columns))
    first = {name: values[::3] for name, values in columns.items()}
    inside = expanded(read_particles(save_columns(tmp_path / "plain.cs", first)), "C3")
    for image in range(5):
        own = made.image == image
        pairs = np.abs(made.poses.rotation[own][:, None] - inside.poses.rotation[own])
        assert pairs.max(axis=(2, 3)).min(axis=1).max() < 1e-5


@pytest.mark.parametrize("group", ["C3", "D2", "T"])
def test_exports_of_an_expanded_run_have_the_poses_of_the_copies(plain: Path, group: str) -> None:
    whole = expanded(read_particles(plain), group)
    chosen = np.sort(np.random.default_rng(0).choice(len(whole), 9, replace=False))
    target = plain.with_name("out.star")
    write_selected_star(plain, whole.names[chosen].tolist(), target, group)
    written = read_particles(target)
    assert len(written) == 9
    np.testing.assert_allclose(written.poses.rotation, whole.poses.rotation[chosen], atol=1e-6)
    np.testing.assert_array_equal(written.poses.shift_angstrom, whole.poses.shift_angstrom[chosen])
    assert written.slice_in_stack.tolist() == whole.slice_in_stack[chosen].tolist()
    # the copy as given is the line as it stands
    first = whole.names[chosen[0] - chosen[0] % (len(whole) // 5)]
    write_selected_star(plain, [first], target, group)
    assert set(target.read_text().splitlines()) <= set(plain.read_text().splitlines())


@pytest.mark.parametrize("group", ["C3", "D2"])
def test_cryosparc_exports_of_an_expanded_run(tmp_path: Path, stack_maker, group: str) -> None:
    stack_maker(tmp_path / "J1" / "s.mrcs", count=5)
    columns = {k: v for k, v in expanded_columns(5, 1).items() if not k.startswith("sym")}
    source = save_columns(tmp_path / "p.cs", columns)
    whole = expanded(read_particles(source), group)
    copies = len(whole) // 5
    chosen = np.array([0, 1, copies, 2 * copies + 2, 4 * copies + 1])
    write_selected_cs(source, whole.names[chosen].tolist(), tmp_path / "out.cs", group)
    written = Dataset.load(str(tmp_path / "out.cs"))
    again = read_particles(tmp_path / "out.cs")
    np.testing.assert_allclose(again.poses.rotation, whole.poses.rotation[chosen], atol=1e-5)
    assert again.slice_in_stack.tolist() == [0, 0, 1, 2, 4]
    uid = np.asarray(written["uid"])
    assert len(set(uid.tolist())) == 5
    assert uid[[0, 2]].tolist() == columns["uid"][:2].tolist()
    assert written["sym_expand/src_uid"].tolist() == columns["uid"][[0, 0, 1, 2, 4]].tolist()
    assert written["sym_expand/idx"].tolist() == [0, 1, 0, 2, 1]
