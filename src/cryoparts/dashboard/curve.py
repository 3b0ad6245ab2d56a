"""The molecule along a part's curve: its motion, or its first component."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.dashboard.answers import coded_numbers
from cryoparts.dashboard.particle import placed
from cryoparts.errors import InputError
from cryoparts.io.names import rows_of_names
from cryoparts.states.trajectory import Trajectory, sample_trajectory
from cryoparts.statistics.trusted import is_trusted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.dashboard.run_folders import OpenRun

POINTS = 15
"""Places along the curve at which the slider stops."""

PARTICLES_A_POINT = 60
"""Whose mean is shown at a place: a person waits for 900 decoded particles, 1 to 2 s."""

BINS = 60
"""Of the histogram that shows where the particles are."""


def curve(run: OpenRun, part: int) -> dict[str, Any]:
    """The model at places along the coordinate of a part, each the mean of the particles there.

    Parameters
    ----------
    run : OpenRun
    part : int

    Raises
    ------
    InputError
        If the part has not been focused on, or nothing has been trained.
    """
    along, values = _sampled(run, part)
    low, high = np.quantile(values, [0.005, 0.995])
    counts, edges = np.histogram(values, bins=BINS, range=(low, max(high, low + 1e-9)))
    frames = placed(run, len(along), along.relative_amplitudes, along.displacements)
    return {
        "part": part,
        "coordinate": along.coordinate.tolist(),
        "particles": along.particles.tolist(),
        "frames": coded_numbers(frames),
        "histogram": {"counts": counts.tolist(), "low": float(edges[0]), "high": float(edges[-1])},
    }


def frame(run: OpenRun, part: int, point: int) -> NDArray[np.float32]:
    """The model (N, 4) at one place of the slider: x, y, z in Å and relative amplitudes.

    Raises
    ------
    InputError
        As `curve`, or if there is no such place.
    """
    along, _ = _sampled(run, part)
    if not 0 <= point < len(along):
        raise InputError("the curve", f"has {len(along)} places", "Reload the page.")
    frames = placed(run, len(along), along.relative_amplitudes, along.displacements)
    found: NDArray[np.float32] = frames[point]
    return found


def _sampled(run: OpenRun, part: int) -> tuple[Trajectory, NDArray[np.float64]]:
    """What is decoded along a part's coordinate, kept until the page is loaded anew."""
    with run.computing:
        if part not in run.curves:
            focused = run.opened.states(part)
            where = f"focus/part_{part}"
            rows = rows_of_names(run.opened.particles.names, focused.names, where)
            decoder = run.opened.decoder

            def decode(
                chosen: NDArray[np.int64],
            ) -> tuple[NDArray[np.floating] | None, NDArray[np.floating] | None]:
                decoded = decoder.decode(rows[chosen])
                return decoded.relative_amplitudes, decoder.displacements_from_neutral(decoded)

            counted = is_trusted(run.opened.particle_weights[rows])
            along = sample_trajectory(
                focused.coordinate, decode, POINTS, PARTICLES_A_POINT, counted
            )
            run.curves[part] = (along, focused.coordinate)
        return run.curves[part]
