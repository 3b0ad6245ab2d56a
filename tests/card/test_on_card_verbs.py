"""Steps after the training on a card that is pretended: the processor's results, little read back.

On it tensors of two devices do not mix and NumPy sees none, as on a CUDA device.
"""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from archived_run import VERSIONS, unpacked
from cryoparts.cli.main import main
from cryoparts.io.mrc import read_map


@pytest.fixture
def runs(tmp_path):
    """The same run, to be done on the processor and on the card."""
    folders = []
    for device in ("cpu", "card"):
        run = unpacked(VERSIONS[0], tmp_path / device)
        config = run / "config.yaml"
        config.write_text(re.sub(r"device: \w+", f"device: {device}", config.read_text()))
        folders.append(run)
    return folders


def columns(runs, *path: str) -> list[np.ndarray]:
    """The numbers of each run's table, without the particles' names."""
    return [np.genfromtxt(run.joinpath(*path), delimiter=",", skip_header=1)[:, 1:] for run in runs]


def test_composition_asks_the_card_for_no_size_and_no_error_code(card, runs):
    here, there = runs
    main(["composition", str(here)])
    before = card.read.copy()
    main(["composition", str(there)])
    asked = card.read - before
    assert asked["nonzero"] <= 1  # the places of the band, once
    assert not {"index", "masked_select", "_linalg_check_errors"} & set(asked)
    on_processor, on_card = columns(runs, "composition", "amplitudes.csv")
    np.testing.assert_allclose(on_card, on_processor, atol=2e-3)


def test_refined_motion(card, runs):
    for run in runs:
        main(["motion", str(run), "--refine"])
    on_processor, on_card = columns(runs, "motion", "part_1.csv")
    shifts = slice(5, 8)  # angles of next to nothing have any axis
    # of shifts by 1.5 Å: the prior is found from a few images, and rounding decides which of their
    # steps are worth making
    np.testing.assert_allclose(on_card[:, shifts], on_processor[:, shifts], atol=0.3)
    difference = on_card[:, shifts] - on_processor[:, shifts]
    assert difference.std() < 0.02 * on_processor[:, shifts].std()
    assert np.mean(np.abs(difference) < 0.1) > 0.99


def test_states_and_belief(card, runs):
    for verb in ("focus", "trust"):
        for run in runs:
            main([verb, str(run)])
    on_processor, on_card = columns(runs, "focus", "part_1", "particles.csv")
    np.testing.assert_allclose(on_card[:, 1:4], on_processor[:, 1:4], atol=1e-3)
    found = [json.loads((run / "trust" / "null_test.json").read_text()) for run in runs]
    changes = [one["parts"][0]["amplitude_change"] for one in found]
    assert changes[1] == pytest.approx(changes[0], rel=1e-2)


def test_maps(card, runs):
    here, there = runs
    main(["reconstruct", str(here)])
    before = card.sent.copy()
    main(["reconstruct", str(there)])
    assert card.sent.total() > before.total()  # the images went there
    maps = sorted((here / "reconstruction").rglob("state_*.mrc"))
    assert maps
    for path in maps:
        one, other = (read_map(run / path.relative_to(here)).density for run in runs)
        np.testing.assert_allclose(other, one, atol=1e-4 * np.abs(one).max())
