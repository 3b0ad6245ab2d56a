"""What a part is told by: presence where it comes and goes, else how it moves."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from cryoparts.coordination.part_signals import read_signals
from cryoparts.io.run_directory import RunDirectory
from cryoparts.occupancy.composition import find_composition
from cryoparts.occupancy.image_amplitudes import ImageAmplitudes
from cryoparts.occupancy.presence import change_words

PARTICLES = 2000


def composition_of(presence: np.ndarray):
    random = np.random.default_rng(5)
    names = np.arange(len(presence)).astype(np.str_)
    error = 0.05 * random.normal(size=presence.shape)
    covariance = np.tile(0.05**2 * np.eye(presence.shape[1]), (len(presence), 1, 1))
    measured = ImageAmplitudes(names, presence + error, covariance)
    return names, find_composition(measured, [f"part_{k + 1}" for k in range(presence.shape[1])])


@pytest.fixture
def run(tmp_path):
    """A run whose three parts all turn."""
    directory = RunDirectory(tmp_path)
    directory.motion_path.mkdir()
    angles = np.random.default_rng(6).normal(size=PARTICLES)
    for part in (1, 2, 3):
        with (directory.motion_path / f"part_{part}.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["name", "signed_angle_degrees"])
            rows.writerows(zip(range(PARTICLES), angles, strict=True))
    return directory


def test_parts_that_only_broken_particles_lack_are_told_by_how_they_move(run):
    presence = np.ones((PARTICLES, 3))
    presence[:, 0] = np.random.default_rng(7).random(PARTICLES) < 0.9
    presence[:12, 1:] = 0.0  # both are away in the same few particles
    names, composition = composition_of(presence)
    assert [part.is_rarely_absent for part in composition.parts] == [False, True, True]
    assert composition.optional == [1]
    signals = read_signals(run, names, composition, 3)
    assert [signal.kind for signal in signals] == ["presence", "angle", "angle"]
    said = [change_words(part.change, part.occupancy) for part in composition.parts]
    assert said[0] == "present or absent"
    assert "broken" in said[1]


def test_a_part_that_is_rarely_there_is_told_by_its_presence(run):
    presence = np.zeros((PARTICLES, 3))
    presence[:20, 0] = 1.0  # no damage adds a part
    presence[:, 1:] = 1.0
    names, composition = composition_of(presence)
    kinds = [signal.kind for signal in read_signals(run, names, composition, 3)]
    assert kinds == ["presence", "angle", "angle"]
