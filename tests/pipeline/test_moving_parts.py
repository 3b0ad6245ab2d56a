"""Whether parts move is asked of the images, not of the decoder."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch

from cryoparts.inference.decoded import Decoded
from cryoparts.pipeline.motion import parts_that_move
from resting_run import PARTICLES, make_resting_run


def test_images_tell_the_part_that_moves_from_one_that_does_not(tmp_path):
    run = make_resting_run(tmp_path / "made", snr=0.3)
    count = len(run.model)
    labels = run.parts
    still = np.flatnonzero(labels.labels == 0)
    end = still[np.argsort(run.model.positions[still, 0])[:20]]
    third = labels.labels.copy()
    third[end] = labels.n_parts + 1
    asked = replace(labels, labels=third, names=(*labels.names, f"part_{labels.n_parts + 1}"))
    run.__dict__["decoder"] = SimpleNamespace(  # it knows of no motion
        decode=lambda rows: Decoded(rows.astype(str), None, np.zeros((len(rows), count, 3), "f4")),
        offsets=lambda rows: torch.zeros(len(rows), count, 3),
        mean_displacement=lambda: torch.zeros(count, 3),
        particle_weights=np.ones(PARTICLES),
    )
    assert parts_that_move(run, asked) == {1}
