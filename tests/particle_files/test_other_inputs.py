"""Files of tilt series, subtomograms, cisTEM, movies: refused by name, not read as particles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cryosparc.dataset import Dataset

from cryoparts.errors import InputError
from cryoparts.particle_files.read_particles import read_particles

POSE = [f"rlnAngle{a}" for a in ("Rot", "Tilt", "Psi")]
POSE += ["rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle"]
CTF = ["rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast", "rlnImagePixelSize"]
GIVEN = "1 2 3 10000 9000 5 300 2.7 0.1 2.5"


def star(path: Path, columns: list[str], values: str, before: str = "") -> Path:
    header = "".join(f"_{c}\n" for c in columns)
    path.write_text(f"{before}\ndata_particles\n\nloop_\n{header}{values}\n")
    return path


def refusal(path: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        read_particles(path)
    return caught.value


def test_2d_stacks_of_tilt_series(tmp_path: Path, stack_maker) -> None:
    stack_maker(tmp_path / "t.mrcs", count=5)
    columns = ["rlnTomoName", "rlnImageName", *POSE, *CTF]
    general = "data_general\n\n_rlnTomoSubTomosAre2DStacks 1\n"
    told = refusal(star(tmp_path / "p.star", columns, f"ts_1 t.mrcs {GIVEN}", general))
    assert "tilt series" in told.problem
    assert "single-particle" in told.cure


def test_particles_of_tilt_series_without_images(tmp_path: Path) -> None:
    columns = ["rlnTomoName", "rlnCoordinateX", *POSE]
    told = refusal(star(tmp_path / "p.star", columns, "ts_1 5 1 2 3 4 5 6"))
    assert "without images" in told.problem


@pytest.mark.parametrize("count", [5, 16])
def test_a_stack_named_without_an_image_in_it(tmp_path: Path, stack_maker, count: int) -> None:
    stack_maker(tmp_path / "t.mrc", count=count)
    path = star(tmp_path / "p.star", ["rlnImageName", *POSE, *CTF], f"t.mrc {GIVEN}")
    told = refusal(path)
    assert f"{count} sections" in told.problem
    assert "tilt series" in told.problem
    stack_maker(tmp_path / "t.mrc", count=1)
    assert len(read_particles(path)) == 1


def test_subtomograms_by_dimension_and_by_ctf_volume(tmp_path: Path) -> None:
    columns = ["rlnImageName", *POSE, *CTF]
    path = star(tmp_path / "p.star", [*columns, "rlnImageDimensionality"], f"1@t.mrc {GIVEN} 3")
    assert "3D subtomograms" in refusal(path).problem
    path = star(tmp_path / "p.star", [*columns, "rlnCtfImage"], f"t.mrc {GIVEN} c.mrc")
    assert "3D subtomograms" in refusal(path).problem


def test_movies_and_micrographs(tmp_path: Path) -> None:
    path = star(tmp_path / "p.star", ["rlnMicrographMovieName", "rlnOpticsGroup"], "m.tif 1")
    assert "movies" in refusal(path).problem
    path = star(tmp_path / "p.star", ["rlnMicrographName", "rlnCoordinateX"], "m.mrc 1")
    told = refusal(path)
    assert "micrographs" in told.problem
    assert "run_data.star" in told.cure


def test_cistem(tmp_path: Path) -> None:
    columns = ["cisTEMPositionInStack", "cisTEMAnglePsi"]
    told = refusal(star(tmp_path / "p.star", columns, "1 20"))
    assert "cisTEM" in told.problem
    assert "for RELION" in told.cure


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("p.par", "cisTEM"),
        ("p.json", "cisTEM"),
        ("p.tomostar", "tilt series"),
        ("p.tif", "movie"),
        ("p.csg", "group file"),
        ("p.star.gz", "compressed"),
    ],
)
def test_suffixes_of_other_programs(tmp_path: Path, name: str, what: str) -> None:
    (tmp_path / name).write_text("x")
    assert what in refusal(tmp_path / name).problem


@pytest.mark.parametrize(
    ("column", "what"), [("movie_blob/path", "movies"), ("micrograph_blob/path", "micrographs")]
)
def test_cryosparc_exposures(tmp_path: Path, column: str, what: str) -> None:
    dataset = Dataset({"uid": np.arange(1, 3), column: np.array(["a.mrc", "b.mrc"])})
    dataset.save(str(tmp_path / "e.cs"))
    told = refusal(tmp_path / "e.cs")
    assert f"lists {what}" in told.problem
    assert "--passthrough" in told.cure
