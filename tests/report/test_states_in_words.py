"""What the page says of a part's states."""

from __future__ import annotations

import numpy as np
import pytest

from cryoparts.figures.part_states import PartStates
from cryoparts.report.verdict import state_rows
from cryoparts.states.focused_particles import FocusedParticles


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ("presence", ["part there", "part there", "part absent"]),
        ("clusters", ["part there", "62% of the part there", "38% of the part there"]),
    ],
)
def test_where_the_images_have_told_a_state_has_the_part_or_not(order, said):
    states = np.repeat([1, 2, 3], 20)
    amplitude = np.array([np.nan, 1.0, 0.62, 0.38])[states]
    focused = FocusedParticles(
        names=np.arange(60).astype(str),
        embedding=np.zeros((60, 2)),
        states=states,
        coordinate=amplitude,
        mean_amplitude=amplitude,
        displacement_rms_angstrom=np.zeros(60),
        order=order,
        chosen_by="found",
        parts=(1,),
    )
    part = PartStates(1, focused, {}, {}, {}, {}, {}, None, {})
    assert [row.there for row in state_rows(part)] == said
