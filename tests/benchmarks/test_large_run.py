"""A run of many particles from one of few opens as any other, with one row a particle."""

from __future__ import annotations

import numpy as np
import pytest
from large_run import enlarge

from archived_run import VERSIONS, unpacked
from cryoparts.io.run_directory import RunDirectory
from cryoparts.run.run import Run
from cryoparts.selection.selection import columns_with_selections


def test_particles_are_repeated_with_their_tables(tmp_path):
    small = unpacked(VERSIONS[0], tmp_path)
    run = enlarge(small, tmp_path / "large", 500)
    columns, of_few = (
        columns_with_selections(run),
        columns_with_selections(Run.open(small).directory),
    )
    assert len(columns) == 500
    assert len(set(columns.names)) == 500
    assert set(columns.values) == set(of_few.values)
    for name in ("state:part_1", "defocus", "half"):
        np.testing.assert_array_equal(columns.values[name][120:240], of_few.values[name])
    opened = Run.open(run.root)
    images = opened.particles.images([7, 127, 487])
    assert (images[0] == images[1]).all()
    assert (images[0] == images[2]).all()
    assert len(opened.states(1)) == 500


def test_nothing_is_written_over(tmp_path):
    small = unpacked(VERSIONS[0], tmp_path)
    with pytest.raises(FileExistsError):
        enlarge(small, small, 500)


def test_arrays_and_the_particle_file_are_repeated(tmp_path):
    small = unpacked(VERSIONS[0], tmp_path)
    run = enlarge(small, tmp_path / "large", 300, ("composition",))
    few = np.load(RunDirectory(small).latent_path)
    many = np.load(run.latent_path)
    differs = np.abs(many - few[np.arange(300) % len(few)]).max(axis=0)
    assert (differs > 0).all()
    assert (differs < 0.5 * few.std(axis=0)).all()
    assert not run.composition_path.exists()
    assert (Run.open(run.root).particles.image == np.arange(300)).all()
