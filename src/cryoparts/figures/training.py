"""The learning curve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from cryoparts.figures.pictures import new_figure, picture_of
from cryoparts.palette import INK, MUTED

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from cryoparts.figures.pictures import Picture
    from cryoparts.figures.run_results import Training


def learning_curve(training: Training) -> Picture:
    """Loss and FRC against the epoch, with the neutral model's FRC and the best epoch."""
    with new_figure(10.0, 3.3) as figure:
        loss_axes, frc_axes = figure.subplots(1, 2)
        learned = training.epoch > 0
        loss_axes.plot(
            training.epoch[learned], training.loss[learned], color=INK, marker="o", markersize=3
        )
        loss_axes.set(
            title="Loss on the training particles", xlabel="epoch", ylabel="loss (unitless)"
        )
        _draw_frc(frc_axes, training)
        for axes in (loss_axes, frc_axes):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.margins(x=0.04, y=0.1)
        return picture_of(
            figure,
            "learning_curve",
            "Held-out particles are never trained on. Only as far as their Fourier ring "
            "correlation (FRC) rises above the dashed line can anything have been learned of "
            "them; where the curve of the training particles climbs alone, it is their noise. "
            "Dashed: the mean model, which is the same molecule for every particle, or, where that "
            "was not measured, the neutral model, as it was given. Epoch 0 is the neutral model.",
        )


def _draw_frc(axes: Axes, training: Training) -> None:
    if np.isfinite(training.train_frc).any():
        axes.plot(training.epoch, training.train_frc, color=MUTED, linewidth=1.2, label="training")
    if np.isfinite(training.held_out_frc).any():
        axes.plot(
            training.epoch,
            training.held_out_frc,
            color=INK,
            marker="o",
            markersize=3,
            label="held-out",
        )
    still, best = training.unchanging_frc, training.best_row
    if still is not None:
        name = training.unchanging_name
        axes.axhline(still, color=INK, linestyle="--", linewidth=1.2, label=name)
    if best is not None:
        axes.plot(
            training.epoch[best],
            training.held_out_frc[best],
            marker="o",
            markersize=9,
            markerfacecolor="none",
            markeredgecolor=INK,
            linestyle="none",
            label=f"best: epoch {training.epoch[best]:.0f}",
        )
    axes.set(title="Agreement with the particles", xlabel="epoch", ylabel="mean FRC (−1 to 1)")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
