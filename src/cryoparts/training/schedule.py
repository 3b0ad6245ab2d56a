"""Learning rate over the steps of a run."""

from __future__ import annotations

import math


def learning_rate(step: int, total_steps: int, peak: float, warm_up: float = 0.05) -> float:
    """Linear warm-up, then a half cosine down to 1% of the peak.

    Parameters
    ----------
    step : int
        Number of the step, from 0.
    total_steps : int
        Steps of the whole run.
    peak : float
        Highest rate.
    warm_up : float
        Fraction of the run that the warm-up takes.
    """
    warm_steps = max(1, round(warm_up * total_steps))
    if step < warm_steps:
        return peak * (step + 1) / warm_steps
    progress = (step - warm_steps) / max(1, total_steps - warm_steps)
    return peak * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress))))
