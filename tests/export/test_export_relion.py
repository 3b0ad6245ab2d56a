"""A state's .star has exactly its particles, and every line as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryoparts.errors import InputError
from cryoparts.export.relion import write_state_star
from cryoparts.particle_files.star import read_blocks
from cryoparts.states.focus import FocusedParticles


def source_of(run) -> Path:
    return run.parent / "job" / "particles.star"


def image_names(path) -> list[str]:
    return read_blocks(path)["particles"].read(["rlnImageName"])["rlnImageName"].tolist()


def test_the_states_share_out_the_particles_by_name(run):
    focused = FocusedParticles.load(run / "focus" / "part_1")
    every = image_names(source_of(run))
    written = {state: image_names(write_state_star(run, 1, state)) for state in (1, 2)}
    for state, names in written.items():
        assert set(names) == set(focused.names[focused.states == state])
        assert names == [name for name in every if name in set(names)], "the file's order is kept"
    assert sorted(written[1] + written[2]) == sorted(every)


def test_every_kept_line_is_the_source_s_to_the_letter(run):
    source = source_of(run).read_text().splitlines(keepends=True)
    kept = write_state_star(run, 1, 1).read_text().splitlines(keepends=True)
    rest = iter(source)
    assert all(line in rest for line in kept), "lines changed or reordered"
    dropped = len(source) - len(kept)
    assert dropped == 12 - len(image_names(run / "focus" / "part_1" / "state_1.star"))
    optics = read_blocks(run / "focus" / "part_1" / "state_1.star")["optics"]
    assert len(optics) == 2


def test_real_files_of_other_programs_keep_their_lines(run, reference_data):
    source = reference_data / "formats" / "relion31.6opticsgroups.star"
    names = np.array(image_names(source))
    chosen = names[:: max(1, len(names) // 7)]
    FocusedParticles(
        names=chosen,
        embedding=np.zeros((len(chosen), 2)),
        states=np.ones(len(chosen), dtype=np.int64),
        coordinate=np.zeros(len(chosen)),
        mean_amplitude=np.ones(len(chosen)),
        displacement_rms_angstrom=np.zeros(len(chosen)),
        order="clusters",
        chosen_by="found",
    ).save(run / "focus" / "part_1")
    written = write_state_star(run, 1, 1, source)
    assert image_names(written) == chosen.tolist()
    assert len(read_blocks(written)["optics"]) == len(read_blocks(source)["optics"])
    lines = set(source.read_text().splitlines())
    assert set(written.read_text().splitlines()) <= lines


def test_a_particle_that_the_source_lacks_is_an_error_and_nothing_is_written(run):
    source = source_of(run)
    lines = source.read_text().splitlines(keepends=True)
    source.write_text("".join(line for line in lines if "000004@" not in line))
    with pytest.raises(InputError, match=r"lacks 1 of the 4 particles, 000004@a\.mrcs"):
        write_state_star(run, 1, 1)
    assert not list((run / "focus" / "part_1").glob("*.star"))


def test_states_and_parts_that_do_not_exist_are_refused(run):
    with pytest.raises(InputError, match="the part has 2"):
        write_state_star(run, 1, 3)
    with pytest.raises(InputError, match="cryoparts focus"):
        write_state_star(run, 2, 1)


def test_a_file_without_particles_is_refused(run, tmp_path):
    other = tmp_path / "model.star"
    other.write_text("data_model_general\n\n_rlnReferenceDimensionality 3\n")
    with pytest.raises(InputError, match="rlnImageName"):
        write_state_star(run, 1, 1, other)
