"""One seed a purpose, derived from the run's seed.

Whatever is drawn at random says what for. Two purposes never share a stream of numbers, so
the sample that parts are found on has nothing to do with, for example, the particles that
are held out, and a further draw somewhere changes nothing elsewhere. The levels of a decoder
alone are drawn from the seed itself, as in version 0.1.0, for weights belong to them.
Simulated data have seeds of their own; pictures order their dots by a fixed one.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum

import numpy as np


class Purpose(StrEnum):
    """What random numbers are drawn for."""

    HALF_SETS = "half sets of particles whose file names none"
    HELD_OUT = "particles held out of the training"
    NOISE_SAMPLE = "particles that the noise is measured on"
    COMPONENTS_SAMPLE = "particles that the encoder's components are taken from"
    COMPONENTS = "decomposition of the encoder's gradients"
    WEIGHTS = "initial weights of the networks"
    TRAINING_ORDER = "order of the particles in an epoch"
    TRAINING_NOISE = "latent noise and dropout of an epoch"
    GEOMETRY_SAMPLE = "particles that conventions are tried on"
    COPIES_SAMPLE = "particles that copies are told from others on"
    SCALE_SAMPLE = "particles that the scale is tried on"
    CHECK_SAMPLE = "particles that are checked before a run"
    ROW_OF_IMAGE = "one row of each image"
    PARTS_SAMPLE = "particles that parts are found on"
    CHANGE_PATTERNS = "decomposition of changes, and its permuted data"
    GAUSSIAN_LAYOUT = "layout of Gaussians in the plane"
    PARTICLE_LAYOUT = "layout of particles in the plane"
    PART_SPLIT = "splitting of a part by hand"
    SUBSAMPLES = "random halves that parts are found on again"
    NUMBER_OF_STATES = "reference data of the number of states"
    STATES = "k-means of particles into states"
    MIXTURE = "mixtures of Gaussians fitted to particles"
    MOTION_SAMPLE = "particles that rigid motion is judged on"
    AXIS_BOOTSTRAP = "particles drawn again for the error of an axis"
    STRATA = "groups of particles imaged alike"
    PERMUTATIONS = "permutations within groups"
    NULL_SAMPLE = "particles that null particles are compared on"
    NULL_NOISE = "noise of null particles"
    AGREEMENT_NOISE = "noise of images that real ones are compared with"
    NULL_TRAINING = "noise of the null particles that networks are trained on"
    NULL_BOOTSTRAP = "particles drawn again for the null ratio"
    TRAININGS_SAMPLE = "particles that repeated trainings are compared on"
    LEAKAGE_SAMPLE = "particles that leakage is measured on"
    LEAKAGE_FOLDS = "folds of the leakage"
    MAP_HALVES = "halves of a map's particles that are in no half set"
    VISIBLE_PIECES = "places of pieces that the images might show"
    PHASES = "random phases beyond a resolution"


def seed_for(seed: int, purpose: Purpose, *number: int) -> int:
    """Seed below 2^32 of one purpose, for libraries that take a number.

    Parameters
    ----------
    seed : int
        The run's, at least 0.
    purpose : Purpose
    *number : int
        Of the epoch or repeat, where there are several.
    """
    return int(_sequence(seed, purpose, number).generate_state(1)[0])


def random_for(seed: int, purpose: Purpose, *number: int) -> np.random.Generator:
    """Random numbers of one purpose; arguments as in `seed_for`."""
    return np.random.default_rng(_sequence(seed, purpose, number))


def _sequence(seed: int, purpose: Purpose, number: tuple[int, ...]) -> np.random.SeedSequence:
    # the name of the purpose counts, not its place in the list nor its wording
    words = np.frombuffer(hashlib.sha256(purpose.name.encode()).digest()[:16], dtype="<u4")
    return np.random.SeedSequence(seed, spawn_key=(*words.tolist(), *number))
