from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from cryoparts.conventions import rotation_from_euler
from cryoparts.errors import InputError
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.particle_files.relion import write_relion

COUNT = 4


def dump(path: Path, content: object) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


def rotations(count: int = COUNT) -> np.ndarray:
    return np.stack([rotation_from_euler(10.0 * i, 50, 20) for i in range(count)])


def ctf_rows(count: int = COUNT, box: float = 16.0) -> np.ndarray:
    return np.tile([box, 2.5, 15000, 14000, 30, 300, 2.7, 0.1, 5], (count, 1)).astype(np.float32)


@pytest.fixture
def stack(tmp_path: Path, stack_maker) -> Path:
    return stack_maker(tmp_path / "s.mrcs")


def test_stack_with_poses_and_ctf(tmp_path: Path, stack: Path) -> None:
    translation = np.array([[0.1, -0.05]] * COUNT)
    poses = dump(tmp_path / "poses.pkl", (rotations().astype(np.float32), translation))
    ctf = dump(tmp_path / "ctf.pkl", ctf_rows())
    table = read_particles(stack, poses=poses, ctf=ctf)
    assert table.names.tolist() == [f"{i:06d}@s.mrcs" for i in range(1, 5)]
    np.testing.assert_allclose(table.poses.rotation, rotations(), atol=1e-6)
    # A fraction of 16 pixels of 2.5 Å, and the projection moves against it.
    np.testing.assert_allclose(table.poses.shift_angstrom, [[-4.0, 2.0]] * COUNT)
    assert set(table.ctf.phase_shift_degrees) == {5.0}
    assert set(table.ctf.defocus_v_angstrom) == {14000.0}


def test_ctf_of_larger_images_gives_the_pixel_of_downsampled_ones(
    tmp_path: Path, stack_maker
) -> None:
    stack = stack_maker(tmp_path / "s.mrcs", pixel=5.0)
    poses = dump(tmp_path / "poses.pkl", rotations())
    table = read_particles(stack, poses=poses, ctf=dump(tmp_path / "c.pkl", ctf_rows(box=32)))
    assert set(table.pixel_size_angstrom) == {5.0}


def test_a_list_of_stacks_and_poses_beside_a_star_file(
    tmp_path: Path, stack_maker, table_maker
) -> None:
    stack_maker(tmp_path / "a.mrcs", count=1)
    stack_maker(tmp_path / "b.mrcs", count=3)
    (tmp_path / "list.txt").write_text("a.mrcs\nb.mrcs\n")
    poses = dump(tmp_path / "poses.pkl", (rotations(), np.full((COUNT, 2), 0.25)))
    ctf = dump(tmp_path / "ctf.pkl", ctf_rows())
    table = read_particles(tmp_path / "list.txt", poses=poses, ctf=ctf)
    assert table.names.tolist() == ["000001@a.mrcs", *(f"{i:06d}@b.mrcs" for i in (1, 2, 3))]
    assert table.stack_of_particle.tolist() == [0, 1, 1, 1]
    write_relion(tmp_path / "p.star", table_maker(stack_maker(tmp_path / "s.mrcs")))
    other = read_particles(tmp_path / "p.star", poses=poses)
    np.testing.assert_allclose(other.poses.rotation, rotations())
    np.testing.assert_allclose(other.poses.shift_angstrom, -10.0)
    assert other.format == "relion"


@pytest.mark.parametrize(
    ("poses", "problem"),
    [
        (rotations(3), "3 particles, .* has 4"),
        (rotations() * 1.1, "not a rotation"),
        (rotations() * [[1], [1], [-1]], "not a rotation"),
        ((rotations(), np.full((COUNT, 2), 3.0)), "fractions of the box"),
        ((rotations(), np.zeros((COUNT, 3))), "translations must be"),
        (np.zeros((4, 9)), r"\(P, 3, 3\)"),
        ({"a": 1}, "must hold arrays"),
        (np.array(["x"]), "an array of U1"),
    ],
)
def test_bad_poses_say_why(tmp_path: Path, stack: Path, poses: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        read_particles(stack, poses=dump(tmp_path / "poses.pkl", poses), without_ctf=True)
    assert "poses.pkl" in caught.value.where


@pytest.mark.parametrize(
    ("ctf", "problem"), [(ctf_rows(5), "5 particles"), (np.zeros((4, 8)), "9 columns")]
)
def test_bad_ctf_says_why(tmp_path: Path, stack: Path, ctf: object, problem: str) -> None:
    poses = dump(tmp_path / "poses.pkl", rotations())
    with pytest.raises(InputError, match=problem):
        read_particles(stack, poses=poses, ctf=dump(tmp_path / "ctf.pkl", ctf))


class Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


def test_a_pickle_runs_nothing(tmp_path: Path, stack: Path) -> None:
    poses = dump(tmp_path / "poses.pkl", Attack(tmp_path / "owned"))
    with pytest.raises(InputError, match="only numpy arrays"):
        read_particles(stack, poses=poses, without_ctf=True)
    assert not (tmp_path / "owned").exists()


def test_a_stack_alone_is_not_enough(stack: Path) -> None:
    with pytest.raises(InputError, match="stack alone") as caught:
        read_particles(stack)
    assert "--poses" in caught.value.cure
