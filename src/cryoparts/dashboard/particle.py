"""One particle: its image, its filtered image, its decoded model and that model's projection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cryoparts.dashboard.answers import coded_numbers
from cryoparts.dashboard.images import png
from cryoparts.errors import InputError
from cryoparts.image_model.deformation import Gaussians, deform

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.dashboard.run_folders import OpenRun

    FloatArray = NDArray[np.float64]


def look_at_particle(run: OpenRun, row: int) -> dict[str, Any]:
    """What the page shows of a particle.

    Parameters
    ----------
    run : OpenRun
    row : int
        In the order of the run.

    Raises
    ------
    InputError
        If there is no such particle.
    """
    require_particle(run, row)
    columns = run.view.columns
    rows = np.array([row])
    with run.computing:
        images = run.images
        raw, filtered = images.raw(rows)[0], images.filtered(rows)[0]
        neutral = Gaussians.neutral(run.opened.model, torch.device("cpu"))
        model = _decoded(run, rows, neutral) if run.trained else neutral
        projected = images.of_model(model, rows)[0]
        unchanged = images.of_model(neutral, rows)[0]
        placed = placed_gaussians(run, rows)[0] if run.trained else None
    values = {name: float(of[row]) for name, of in columns.values.items() if np.isfinite(of[row])}
    return {
        "row": row,
        "name": str(columns.names[row]),
        "image": None if columns.image_names is None else str(columns.image_names[row]),
        "values": values,
        "pixel": images.particles.pixel_size_angstrom,
        "box": images.particles.box_size,
        "finest": images.finest_angstrom,
        "pictures": {"raw": png(raw), "filtered": png(filtered), "projection": png(projected)},
        "agreement": _correlation(filtered, projected),
        "neutral_agreement": _correlation(filtered, unchanged),
        "decoded": None if placed is None else coded_numbers(placed),
    }


def require_particle(run: OpenRun, row: int) -> None:
    """Raise InputError unless the run has a particle of this row."""
    count = len(run.view.columns)
    if not 0 <= row < count:
        raise InputError(
            f"particle {row + 1}", f"the run has {count} particles", "Choose one of them."
        )


def placed_gaussians(run: OpenRun, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Decoded x, y, z (Å) and relative amplitude of each Gaussian, (n, N, 4)."""
    decoder = run.opened.decoder
    decoded = decoder.decode(rows)
    moved = decoder.displacements_from_neutral(decoded)
    return placed(run, len(rows), decoded.relative_amplitudes, moved)


def placed(
    run: OpenRun,
    count: int,
    amplitudes: NDArray[np.floating] | None,
    displacements: NDArray[np.floating] | None,
) -> NDArray[np.float32]:
    """The model (n, N, 4) with amplitudes (n, N) and displacements (n, N, 3); None: unchanged."""
    model = run.opened.model
    found = np.ones((count, len(model), 4), dtype=np.float32)
    found[..., :3] = model.positions
    if displacements is not None:
        found[..., :3] += displacements
    if amplitudes is not None:
        found[..., 3] = amplitudes
    return found


def _decoded(run: OpenRun, rows: NDArray[np.int64], neutral: Gaussians) -> Gaussians:
    """The Gaussians that the decoder compares with the image itself, on its own scale."""
    decoder = run.opened.decoder
    return deform(neutral, decoder.offsets(rows).cpu(), decoder.config.vary)


def _correlation(one: FloatArray, other: FloatArray) -> float | None:
    """Pearson's correlation of two images; None where one of them is flat."""
    a, b = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return None if norm == 0 else float((a * b).sum()) / norm
