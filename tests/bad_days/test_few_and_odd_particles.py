"""Whole runs of particles that are too few, all alike, all in one half, or far too bright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoparts.cli.main import main
from cryoparts.run.run import Run
from small_runs import small_arguments, small_data


def whole_run(folder: Path, capsys: pytest.CaptureFixture[str], **data) -> tuple[Run, str]:
    """Everything that `cryoparts run` does; the run, and all that it printed."""
    star = small_data(folder, **data)
    main(["run", *small_arguments(star, folder), "-o", str(folder / "run")])
    printed = capsys.readouterr()
    assert (folder / "run" / "report.html").is_file()
    return Run.open(folder / "run"), printed.out + printed.err


def assert_sound(run: Run) -> None:
    """Nothing that the networks say is absurd."""
    decoded = run.decoder.decode()
    assert np.isfinite(run.latent).all()
    assert np.abs(decoded.displacements).max() < 50
    assert 0 <= decoded.relative_amplitudes.min() <= decoded.relative_amplitudes.max() < 10
    rows = run.directory.metrics()
    assert all(row["held_out_frc"] > 0.8 * rows[0]["held_out_frc"] for row in rows)


def test_one_particle_is_an_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        whole_run(tmp_path, capsys, count=1)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "no particle is left to train on: of 1, 1 held out" in said
    assert "--held-out-fraction 0" in said


@pytest.mark.parametrize(("count", "alike"), [(2, False), (2, True), (100, True)])
def test_few_or_equal_particles_say_that_nothing_can_be_concluded(tmp_path, capsys, count, alike):
    run, said = whole_run(tmp_path, capsys, count=count, alike=alike)
    assert_sound(run)
    assert "Nothing can be concluded from this run" in said
    assert f"only {count} particles: too few to conclude much" in said
    assert "held against null particles" not in said  # none was tested


def test_particles_of_one_half_set_are_drawn_into_two(tmp_path, capsys):
    run, said = whole_run(tmp_path, capsys, half_set=np.ones(60, dtype=np.int8))
    assert_sound(run)
    assert "half set, 1 for all 60 particles" in said
    assert np.bincount(run.particles.half_set).tolist() == [0, 30, 30]


def test_a_particle_of_100_times_the_amplitude_changes_no_other(tmp_path, capsys):
    def loud(images: np.ndarray) -> np.ndarray:
        images[7] *= 100
        return images

    plain, _ = whole_run(tmp_path / "plain", capsys)
    bright, _ = whole_run(tmp_path / "bright", capsys, change=loud)
    assert_sound(bright)
    np.testing.assert_allclose(bright.latent, plain.latent, atol=0.02)  # their spread is 0.5
