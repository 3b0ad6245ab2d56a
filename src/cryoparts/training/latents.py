"""Latent vectors of all particles, as files of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.io.atomic import write_atomically
from cryoparts.io.run_directory import write_csv
from cryoparts.training.decode import TrainedDecoder

if TYPE_CHECKING:
    from cryoparts.io.run_directory import RunDirectory


def write_latents(run: RunDirectory) -> None:
    """Encode every particle with the best networks; write latent.npy and latent.csv."""
    trained = TrainedDecoder(run)
    latent = trained.latent()
    with write_atomically(run.latent_path) as temporary:
        np.save(temporary, latent)
    header = ["name", *(f"z{axis + 1}" for axis in range(latent.shape[1]))]
    rows = ((name, *vector) for name, vector in zip(trained.particles.names, latent, strict=True))
    write_csv(run.latent_csv_path, header, rows)
