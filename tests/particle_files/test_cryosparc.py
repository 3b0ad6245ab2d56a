from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cryosparc.dataset import Dataset
from scipy.spatial.transform import Rotation

from cryoparts.errors import InputError
from cryoparts.particle_files.read_particles import read_particles

COUNT = 4


def columns() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        "uid": np.array([11, 7, 18446744073709551615, 3], dtype=np.uint64),
        "blob/path": np.array([">J1/s.mrcs"] * COUNT, dtype=object),
        "blob/idx": np.array([2, 0, 3, 1], dtype=np.uint32),
        "blob/shape": np.full((COUNT, 2), 16, dtype=np.uint32),
        "blob/psize_A": np.full(COUNT, 2.5, dtype=np.float32),
        "ctf/df1_A": np.full(COUNT, 15000, dtype=np.float32),
        "ctf/df2_A": np.full(COUNT, 14000, dtype=np.float32),
        "ctf/df_angle_rad": np.full(COUNT, np.pi / 6, dtype=np.float32),
        "ctf/accel_kv": np.full(COUNT, 300, dtype=np.float32),
        "ctf/cs_mm": np.full(COUNT, 2.7, dtype=np.float32),
        "ctf/amp_contrast": np.full(COUNT, 0.1, dtype=np.float32),
        "ctf/phase_shift_rad": np.full(COUNT, np.pi / 2, dtype=np.float32),
        "alignments3D/pose": rng.normal(size=(COUNT, 3)).astype(np.float32),
        "alignments3D/shift": rng.normal(size=(COUNT, 2)).astype(np.float32),
        "alignments3D/psize_A": np.full(COUNT, 5.0, dtype=np.float32),
        "alignments3D/split": np.array([0, 1, 1, 0], dtype=np.uint32),
    }


def save(path: Path, chosen: dict[str, np.ndarray]) -> Path:
    Dataset(list(chosen.items())).save(str(path))
    return path


def test_every_column_goes_where_it_belongs(tmp_path: Path, stack_maker) -> None:
    stack_maker(tmp_path / "J1" / "s.mrcs")
    given = columns()
    table = read_particles(save(tmp_path / "p.cs", given))
    assert table.names.tolist() == ["11", "7", "18446744073709551615", "3"]
    assert table.slice_in_stack.tolist() == [2, 0, 3, 1]
    assert table.half_set.tolist() == [1, 2, 2, 1]
    np.testing.assert_allclose(
        table.poses.rotation,
        Rotation.from_rotvec(given["alignments3D/pose"]).as_matrix().transpose(0, 2, 1),
        atol=1e-6,
    )
    # Pixels of alignments3D/psize_A (5 Å), not of the images (2.5 Å).
    np.testing.assert_allclose(table.poses.shift_angstrom, -5.0 * given["alignments3D/shift"])
    np.testing.assert_allclose(table.ctf.astigmatism_angle_degrees, 30.0, rtol=1e-6)
    np.testing.assert_allclose(table.ctf.phase_shift_degrees, 90.0, rtol=1e-6)


def test_passthrough_is_joined_by_uid_in_the_order_of_the_main_file(
    tmp_path: Path, stack_maker
) -> None:
    stack_maker(tmp_path / "J1" / "s.mrcs")
    given = columns()
    whole = read_particles(save(tmp_path / "p.cs", given))
    moved = {k: v for k, v in given.items() if k.startswith(("blob", "ctf"))}
    extra = {"uid": np.append(given["uid"], np.uint64(99))}
    extra |= {k: np.concatenate([v, v[:1]]) for k, v in moved.items()}
    shuffled = {k: v[[4, 2, 0, 3, 1]] for k, v in extra.items()}
    main = save(tmp_path / "main.cs", {k: v for k, v in given.items() if k not in moved})
    passthrough = save(tmp_path / "through.cs", shuffled)
    joined = read_particles(main, passthrough=passthrough)
    assert joined.names.tolist() == whole.names.tolist()
    np.testing.assert_array_equal(joined.slice_in_stack, whole.slice_in_stack)
    np.testing.assert_array_equal(joined.ctf.defocus_u_angstrom, whole.ctf.defocus_u_angstrom)
    with pytest.raises(InputError, match="no column blob/path") as caught:
        read_particles(main)
    assert "--passthrough" in caught.value.cure


def test_a_passthrough_that_lacks_particles_is_refused(tmp_path: Path) -> None:
    given = columns()
    main = save(tmp_path / "main.cs", given)
    fewer = save(tmp_path / "through.cs", {k: v[1:] for k, v in given.items()})
    with pytest.raises(InputError, match=r"1 of the 4 particles .* first has uid 11"):
        read_particles(main, passthrough=fewer, require_stacks=False)


def test_repeated_uids_are_refused(tmp_path: Path) -> None:
    given = columns()
    given["uid"][1] = 11
    with pytest.raises(InputError, match="uid 11 is also that of row 1, which shows another image"):
        read_particles(save(tmp_path / "p.cs", given), require_stacks=False)


@pytest.mark.parametrize(
    ("absent", "problem"),
    [("alignments3D/pose", "no orientations"), ("ctf/df1_A", "no defocus U")],
)
def test_absent_columns_are_named(tmp_path: Path, absent: str, problem: str) -> None:
    given = columns()
    del given[absent]
    with pytest.raises(InputError, match=problem):
        read_particles(save(tmp_path / "p.cs", given), require_stacks=False)


def test_a_split_of_zeros_is_no_split(tmp_path: Path) -> None:
    given = columns()
    given["alignments3D/split"][:] = 0
    table = read_particles(save(tmp_path / "p.cs", given), require_stacks=False)
    assert set(table.half_set) == {0}
