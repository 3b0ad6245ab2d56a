"""What the figures of a benchmark share: the runs they show, colours, balls on a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from cryoparts.benchmark.table import method_title
from cryoparts.evaluation.truth import align_truth, load_truth
from cryoparts.figures.pictures import bare
from cryoparts.figures.viewpoints import facing_views
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.run_directory import RunDirectory
from cryoparts.palette import ACCENT, INK, MUTED, PART_COLOURS, WARNING
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.parts.embedding import embed
from cryoparts.parts.part_labels import PartLabels
from cryoparts.states.focus import FocusedParticles

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    from cryoparts.simulation.ground_truth import CompositionTruth, MapsTruth, MotionTruth

    FloatArray = NDArray[np.float64]

METHOD_COLOURS = {
    "point-transformer": ACCENT,
    "mlp": WARNING,
    "hierarchical-mlp": PART_COLOURS[2],
    "oracle": INK,
}
MOST_DOTS = 4000
BALL_INCHES = 0.75
"""Part of the Gaussians' spacing that a ball is wide."""


def method_colour(method: str) -> str:
    """Colour of a decoder, of the oracle, and of predicting nothing."""
    return METHOD_COLOURS.get(method, MUTED)


@dataclass(frozen=True)
class ShownRun:
    """A run of the benchmark that figures are drawn of.

    Parameters
    ----------
    method : str
        Its decoder.
    directory : RunDirectory
    record : dict
        What the benchmark kept of it.
    arrays : dict of str to array
        The same, with a number a particle or Gaussian.
    model : GaussianModel
    parts : PartLabels
    names : str array, shape (P,)
    latent : array, shape (P, Z)
    truth : the data set's truth, in the order of the names
    """

    method: str
    directory: RunDirectory
    record: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]]
    model: GaussianModel
    parts: PartLabels
    names: NDArray[np.str_]
    latent: FloatArray
    truth: CompositionTruth | MotionTruth | MapsTruth

    @classmethod
    def read(cls, method: str, folder: Path, record: Mapping[str, Any], data: Path) -> Self:
        """Read a run that is complete, and the truth of its data set."""
        directory = RunDirectory.open(folder)
        with np.load(folder / "benchmark.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        names = PreparedParticles.open(directory.particles_path).names
        return cls(
            method,
            directory,
            record,
            arrays,
            GaussianModel.load(directory.gaussians_path),
            PartLabels.load(directory.parts_path),
            names,
            np.load(directory.latent_path).astype(np.float64),
            align_truth(load_truth(data), names, str(folder)),
        )

    @property
    def title(self) -> str:
        """In words."""
        return method_title(self.method)

    @property
    def details(self) -> Mapping[str, Any]:
        """What the evaluation found."""
        found: Mapping[str, Any] = self.record["details"]["evaluation"]
        return found

    def focused(self, segment: str) -> FocusedParticles | None:
        """The particles seen by the part that recovers a true segment, if one does."""
        for match in self.details.get("parts", {}).get("matches", []):
            if match["segment"] == segment and match["recovered"] and match["part"]:
                path = self.directory.focus_path(int(match["part"]))
                return FocusedParticles.load(path) if path.exists() else None
        return None

    def dots(self) -> NDArray[np.int64]:
        """Particles drawn at random, few enough for a cloud of dots."""
        order = np.random.default_rng(0).permutation(len(self.names))
        return np.sort(order[:MOST_DOTS])


def latent_plane(run: ShownRun, rows: NDArray[np.int64]) -> FloatArray:
    """The latent vectors of some particles in the plane, by UMAP: (n, 2)."""
    return embed(run.latent[rows], method="umap").coordinates


def best_view(positions: ArrayLike, changing: ArrayLike) -> FloatArray:
    """The view along an axis that spreads out most what changes: rows right, up, to the viewer."""
    chosen = np.asarray(changing, dtype=bool)
    points = np.asarray(positions, dtype=np.float64)
    seen = points[chosen] if chosen.any() else points
    views = [view for _, view in facing_views(points, chosen.astype(np.int64))]
    return max(views, key=lambda view: float((seen @ view[:2].T).std(axis=0).prod()))


def draw_balls(axes: Axes, positions: ArrayLike, colours: ArrayLike, inches: float) -> None:
    """Balls at (right, up, towards the viewer), coloured; the nearer hide the farther.

    Parameters
    ----------
    axes : Axes
    positions : array, shape (N, 3)
        After the view's rotation.
    colours : array, shape (N, 3) or (N, 4)
        Red, green, blue from 0 to 1.
    inches : float
        Side of the panel.
    """
    points = np.asarray(positions, dtype=np.float64)
    shades = np.asarray(colours, dtype=np.float64)[:, :3]
    order = np.argsort(points[:, 2])
    span = float(np.ptp(points, axis=0).max()) + 1e-6
    near = ((points[:, 2] - points[:, 2].min()) / span)[order, None]
    width = 72 * inches * BALL_INCHES / np.cbrt(max(len(points), 1))
    axes.scatter(
        points[order, 0],
        points[order, 1],
        s=width**2,
        c=shades[order] + (1 - shades[order]) * 0.35 * (1 - near),
        edgecolors=(0, 0, 0, 0.15),
        linewidths=0.2,
        clip_on=False,
    )
    axes.margins(0.05)
    axes.set_aspect("equal")
    bare(axes)


def colour_scale(highest: float, colours: str) -> ScalarMappable:
    """What a colour bar from 0 to `highest` is drawn of."""
    return ScalarMappable(Normalize(0, highest), colours)
