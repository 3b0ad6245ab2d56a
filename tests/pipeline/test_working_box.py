"""The working images are as fine as images, model and what may vary allow."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cryoparts.config import ModelConfig, RunConfig, TrainingConfig
from cryoparts.gaussians.from_file import make_model
from cryoparts.gaussians.map_grid import low_pass
from cryoparts.gaussians.model import GaussianModel
from cryoparts.image_model.losses import FINEST_PIXELS
from cryoparts.io.mrc import write_map
from cryoparts.pipeline.start import start_run
from cryoparts.pipeline.working_box import MOST_GAUSSIANS, with_working_box
from small_runs import small_config, small_data


def table(box: int, pixel: float, *more: tuple[int, float]):
    """Images of these boxes (pixels) and pixel sizes (Å)."""
    boxes, pixels = zip((box, pixel), *more, strict=True)
    return SimpleNamespace(box_size=np.array(boxes), pixel_size_angstrom=np.array(pixels))


def chosen(images, model=None, **options) -> int:
    config = RunConfig("p.star", str(model), training=TrainingConfig(**options))
    box = with_working_box(config, images, model).preprocessing.box_size
    assert box is not None
    return box


def structure(path, atoms: int):
    """Atoms at random in a ball, 17 Å³ each."""
    random = np.random.default_rng(0)
    directions = random.normal(size=(atoms, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    radius = (3 * 17.0 * atoms / (4 * np.pi)) ** (1 / 3)
    places = directions * (radius * random.random((atoms, 1)) ** (1 / 3))
    line = "ATOM  {:5d}  CA  ALA A{:4d}    {:8.3f}{:8.3f}{:8.3f}  1.00  0.00           C"
    text = [line.format(k % 100000, k % 10000, *place) for k, place in enumerate(places.tolist())]
    path.write_text("\n".join([*text, "END", ""]))
    return path


def test_pixels_are_three_angstrom_between_64_and_128_pixels():
    """Where nothing else limits: never finer, in boxes of sixteens, never more than there are."""
    assert chosen(table(192, 1.5)) == 96
    assert chosen(table(256, 1.0)) == 80
    assert chosen(table(440, 1.1)) == 128
    assert chosen(table(200, 0.8)) == 64
    assert chosen(table(72, 4.0)) == 72
    assert chosen(table(48, 8.0)) == 48


def test_what_only_comes_and_goes_is_seen_at_64_pixels():
    """Finer images tell of motions."""
    assert chosen(table(192, 1.5), vary=("amplitude",)) == 64


def test_the_smallest_images_decide():
    """Optics groups of other pixel sizes."""
    assert chosen(table(192, 1.5, (192, 1.25), (256, 1.5))) == 80


def test_the_resolution_asked_for_decides():
    """Pixels that hold it, a quarter to spare, whatever else."""
    assert chosen(table(192, 1.5), max_resolution_angstrom=6.0) == 120


def test_a_box_that_is_given_stays(tmp_path):
    """No model is read for it."""
    config = RunConfig("p.star", "m.pdb")
    config = replace(config, preprocessing=replace(config.preprocessing, box_size=50))
    assert with_working_box(config, table(192, 1.5), tmp_path / "none.pdb") is config


@pytest.mark.parametrize("atoms", [2_000, 20_000, 60_000])
def test_a_large_molecule_keeps_coarse_pixels(tmp_path, atoms):
    """The model of the chosen box has at most 4,096 Gaussians, or the box is the smallest."""
    path = structure(tmp_path / "m.pdb", atoms)
    box, pixel = 256, 1.2
    side = chosen(table(box, pixel), path)
    resolution = FINEST_PIXELS * box * pixel / side
    count = len(make_model(path, ModelConfig(), resolution, box, pixel, 0))
    assert count <= MOST_GAUSSIANS or side == 64
    assert side == {2_000: 96, 20_000: 96, 60_000: 64}[atoms]


def test_a_map_is_as_large_as_its_atoms(tmp_path):
    """A ball of 1.1 million Å³ as map leaves the pixels as coarse as its atoms do."""
    size, voxel = 80, 4.0
    places = (np.arange(size) - size // 2) * voxel
    far = np.sqrt(np.square(np.stack(np.meshgrid(places, places, places))).sum(axis=0))
    ball = low_pass((far < 65).astype(np.float32), voxel, 2.0)
    write_map(tmp_path / "ball.mrc", ball, voxel)
    assert chosen(table(320, 1.0), tmp_path / "ball.mrc") == 64
    small = low_pass((far < 30).astype(np.float32), voxel, 2.0)
    write_map(tmp_path / "small.mrc", small, voxel)
    assert chosen(table(320, 1.0), tmp_path / "small.mrc") == 96


def test_gaussians_that_are_given_limit_nothing(tmp_path):
    """Their number does not follow from the pixels."""
    places = np.zeros((5, 3), np.float32)
    GaussianModel.of(places, np.ones(5, np.float32), np.ones(5, np.float32)).save(
        tmp_path / "m.npz"
    )
    assert chosen(table(192, 1.5), tmp_path / "m.npz") == 96
    many = ModelConfig(n_gaussians=512)
    config = replace(RunConfig("p.star", "m.pdb"), gaussians=many)
    path = structure(tmp_path / "m.pdb", 60_000)
    assert with_working_box(config, table(192, 1.5), path).preprocessing.box_size == 96


def test_a_run_asks_its_own_model(tmp_path, monkeypatch):
    asked = []

    def recorded(config, images, model=None):
        asked.append(model)
        return with_working_box(config, images, model)

    monkeypatch.setattr("cryoparts.pipeline.start.with_working_box", recorded)
    config = small_config(small_data(tmp_path), tmp_path)
    start_run(config, tmp_path / "run")
    assert asked == [tmp_path / "model.npz"]
