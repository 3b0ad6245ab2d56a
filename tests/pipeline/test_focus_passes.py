"""However many parts are looked at, the particles are gone through twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pytest

from cryoparts.config import FocusConfig, RunConfig
from cryoparts.gaussians.model import GaussianModel
from cryoparts.inference.decoded import Decoded
from cryoparts.io.run_directory import RunDirectory
from cryoparts.occupancy.composition import find_composition
from cryoparts.occupancy.image_amplitudes import ImageAmplitudes
from cryoparts.parts.part_labels import PartLabels
from cryoparts.pipeline.focus import find_states
from cryoparts.run.run import Run

PARTICLES, GAUSSIANS, PARTS, BATCH = 300, 40, 4, 37
LABELS = np.arange(GAUSSIANS) // 8


NAMES = np.array([f"{row + 1:06d}@s.mrcs" for row in range(PARTICLES)])


class Particles:
    names = NAMES

    def __len__(self) -> int:
        return PARTICLES


class Decoder:
    """Parts that come and go; counts how often each particle is decoded, and how many at once."""

    keeping = nullcontext
    particle_weights = np.ones(PARTICLES)
    decoded: Counter[int]
    largest: int
    unseen: tuple[int, ...] = ()
    """Parts of which the decoder knows nothing."""
    astray = 0.0
    """Å by which it moves what is away."""

    def __init__(self, run: RunDirectory) -> None:
        self.particles = Particles()
        self.config = run.config().training

    def decode(self, rows, gaussians=None) -> Decoded:
        columns = np.arange(GAUSSIANS) if gaussians is None else gaussians
        Decoder.decoded.update(rows.tolist())
        Decoder.largest = max(Decoder.largest, len(rows) * len(columns))
        rng = np.random.default_rng(1)
        present = rng.random((PARTICLES, PARTS + 1)) < 0.5
        present[:, list(self.unseen)] = True
        noise = 0.05 * rng.normal(size=(PARTICLES, GAUSSIANS))
        amplitudes = (present[:, LABELS] + noise)[np.ix_(rows, columns)].astype(np.float32)
        if not self.astray:
            return Decoded(NAMES[rows], amplitudes, None, None)
        away = self.astray * rng.normal(size=(PARTICLES, 1, 3)) * ~present[:, LABELS, None]
        return Decoded(NAMES[rows], amplitudes, away[np.ix_(rows, columns)].astype(np.float32))

    def batches(self, gaussians, progress) -> Iterator[Decoded]:
        for start in range(0, PARTICLES, BATCH):
            rows = np.arange(start, min(start + BATCH, PARTICLES))
            yield self.decode(rows, gaussians)
            if progress is not None:
                progress(int(rows[-1]) + 1, PARTICLES)


@pytest.fixture
def run(tmp_path, monkeypatch) -> RunDirectory:
    monkeypatch.setattr("cryoparts.run.run.TrainedDecoder", Decoder)
    Decoder.decoded, Decoder.largest = Counter(), 0
    run = RunDirectory.create(tmp_path / "run", RunConfig("p.cs", "m.cif"), [])
    positions = np.random.default_rng(0).normal(size=(GAUSSIANS, 3)).astype(np.float32)
    model = GaussianModel(positions, np.ones(GAUSSIANS, "f4"), np.ones(GAUSSIANS, "f4"))
    model.save(run.gaussians_path)
    np.save(run.latent_path, np.zeros((PARTICLES, 2), np.float32))
    PartLabels(
        LABELS, np.zeros((GAUSSIANS, 2)), positions.astype(float), np.zeros(GAUSSIANS),
        np.zeros(GAUSSIANS), "pca",
    ).save(run.parts_path)  # fmt: skip
    return run


def test_all_parts_from_two_passes(run):
    done = []
    looks = [[part] for part in range(1, PARTS + 1)] + [[1, 3]]
    options = FocusConfig(states=2)
    results = find_states(
        Run(run), looks, options, lambda count, total: done.append((count, total))
    )
    assert set(Decoder.decoded.values()) == {2}
    assert len(Decoder.decoded) == PARTICLES
    assert Decoder.largest <= BATCH * 8 * PARTS  # a batch of the parts' own Gaussians
    assert done.count((PARTICLES, PARTICLES)) == 2
    assert [result.folder.name for result in results] == [
        "part_1", "part_2", "part_3", "part_4", "part_1+part_3",
    ]  # fmt: skip
    present = Decoder(run).decode(np.arange(PARTICLES)).relative_amplitudes[:, 8::8] > 0.5
    for part, result in enumerate(results[:PARTS]):
        np.testing.assert_array_equal(result.focused.states == 1, present[:, part])
    assert find_states(Run(run), [], options) == ()


def test_where_a_network_puts_what_is_away_makes_no_state(run, monkeypatch):
    (still,) = find_states(Run(run), [[2]], FocusConfig())
    monkeypatch.setattr(Decoder, "astray", 6.0)
    (astray,) = find_states(Run(run), [[2]], FocusConfig())
    np.testing.assert_array_equal(astray.focused.states, still.focused.states)
    assert astray.focused.n_states == 2
    assert np.median(astray.focused.displacement_rms_angstrom) < 0.5


def test_states_that_the_decoder_does_not_show_are_those_of_the_images(run, monkeypatch):
    monkeypatch.setattr(Decoder, "unseen", (4,))
    rng = np.random.default_rng(3)
    there = rng.random((PARTICLES, PARTS)) < 0.9
    there[:, 1] = Decoder(run).decode(np.arange(PARTICLES)).relative_amplitudes[:, 16] > 0.5
    amplitude = there + 0.1 * rng.normal(size=there.shape)
    covariance = np.broadcast_to(0.01 * np.eye(PARTS), (PARTICLES, PARTS, PARTS))
    measured = ImageAmplitudes(NAMES, amplitude, covariance)
    looks, names = [[2], [4], [2, 4]], ("part_1", "part_2", "part_3", "part_4")
    find_composition(measured, names).save(run.composition_path)
    two, four, both = (one.focused for one in find_states(Run(run), looks, FocusConfig()))
    assert (two.order, four.order) == ("presence", "presence")
    assert both.order != "presence"
    for part, one in ((1, two), (3, four)):
        assert (there[:, part] == (one.states == 1)).mean() > 0.99
    given = find_states(Run(run), [[4]], FocusConfig(states=3))[0].focused
    assert given.order == "clusters"
    asked = find_states(Run(run), [[2]], FocusConfig(order="clusters"))[0].focused
    assert asked.order == "clusters"
    find_states(Run(run), [[2]], FocusConfig())
    rows = (run.composition_path / "populations.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:3]] == ["part_2", "part_2"]
