"""What a finished run found, as numbers for a notebook.

python examples/look_at_a_run.py RUN
"""

from __future__ import annotations

import sys

import numpy as np

from cryoparts import open_run


def main() -> None:
    run = open_run(sys.argv[1])
    print(f"{len(run.particles)} particles, {len(run.model)} Gaussians, {run.parts.n_parts} parts")
    print(f"latent vectors {run.latent.shape}; {len(run.split.held_out)} particles held out")
    # Batch by batch: memory does not grow with the number of particles.
    sums = np.zeros((run.parts.n_parts + 1, 2))
    for batch in run.decoded():
        if batch.relative_amplitudes is None:
            print("amplitudes did not vary")
            return
        for part in range(run.parts.n_parts + 1):
            members = run.parts.labels == part
            amplitude = batch.relative_amplitudes[:, members].mean(axis=1)
            sums[part] += amplitude.sum(), (amplitude > 0.5).sum()
    for part, (total, there) in enumerate(sums / len(run.particles)):
        print(f"{run.parts.name(part):10s} mean amplitude {total:5.2f}, there in {there:6.1%}")


if __name__ == "__main__":
    main()
