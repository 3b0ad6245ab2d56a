"""Decodings and projections a particle of what follows the training, and their processor time.

    python benchmarks/passes.py RUN [--particles 512] [--motion]

RUN is a trained run with parts. The time is that of one thread (OMP_NUM_THREADS=1
NUMBA_NUM_THREADS=1); nothing is written into the run. To compare two versions, call it with
PYTHONPATH at the sources of the one and of the other in turn.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree

from cryoparts.image_model.forward_model import ForwardModel
from cryoparts.inference.latents import refinement
from cryoparts.motion.rigid_refinement import refine_motion
from cryoparts.motion.run_motion import measure_motion
from cryoparts.run.run import Run

NEIGHBOURS = 16
"""Particles are taken in groups that lie as near each other as in the whole set."""


def main() -> None:
    """Measure and print one line a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--particles", type=int, default=512)
    parser.add_argument("--motion", action="store_true")
    options = parser.parse_args()
    run = Run.open(options.run)
    torch.set_num_threads(1)
    counts = counting(run)
    if options.motion:
        measure_motions(run, counts)
    else:
        measure_latents(run, counts, options.particles)


def counting(run: Run) -> Counter[str]:
    """Counts of particles that are decoded and projected from now on."""
    counts: Counter[str] = Counter()
    decoder, images_of = run.decoder.networks.decoder, ForwardModel.images_of
    forward = decoder.forward

    def decoded(latent: torch.Tensor) -> torch.Tensor:
        counts["decoded"] += len(latent)
        return forward(latent)

    def projected(model, gaussians, batch):  # type: ignore[no-untyped-def]
        counts["projected"] += len(batch.rotation)
        return images_of(model, gaussians, batch)

    decoder.forward = decoded
    ForwardModel.images_of = projected  # type: ignore[method-assign]
    return counts


def report(what: str, counts: Counter[str], seconds: float, particles: int) -> None:
    """Print what a particle costs, and start counting anew."""
    shares = ", ".join(f"{kind} {number / particles:.2f}" for kind, number in counts.items())
    print(f"{what}: {1e3 * seconds / particles:.2f} ms a particle; {shares}", flush=True)
    counts.clear()


def measure_latents(run: Run, counts: Counter[str], particles: int) -> None:
    """Decoding alone, projecting alone, and the refinement of latent vectors."""
    problem = refinement(run.decoder, run.setup)
    encoded = run.decoder.encoded_run()
    starts = np.linspace(0, len(encoded) - 1, particles // NEIGHBOURS).astype(int)
    _, near = cKDTree(encoded.numpy()).query(encoded[starts].numpy(), k=NEIGHBOURS)
    rows = np.unique(near)
    problem.refine(encoded[rows[:32]], rows[:32], 1)  # compiled code is loaded
    batch = problem.forward.batch(rows[:64])
    with torch.no_grad():
        counts.clear()
        begun = time.process_time()
        for _ in range(4):
            shown = problem.decoded(encoded[rows[:64]])
        report("decoding 64 together", counts, (time.process_time() - begun) / 4, 64)
        begun = time.process_time()
        for _ in range(16):
            problem.forward.images_of(shown, batch)
        report("projecting 64 together", counts, (time.process_time() - begun) / 16, 64)
    begun = time.process_time()
    problem.refine(encoded[rows], rows, 1)
    report("latent vectors", counts, time.process_time() - begun, len(rows))


def measure_motions(run: Run, counts: Counter[str]) -> None:
    """The motion of all parts as decoded, and by the images."""
    labels, vary, everyone = run.parts, run.training.vary, len(run.particles)
    assert run.decoder.calibration is not None  # measured once a run, not here
    counts.clear()
    begun = time.process_time()
    motion = measure_motion(
        run.model, labels, run.decoder.decode, everyone, probability=run.particle_weights
    )
    report("motion, as decoded", counts, time.process_time() - begun, everyone)
    begun = time.process_time()
    refine_motion(motion, labels, run.setup, run.decoder.offsets, vary)
    report("motion, by the images", counts, time.process_time() - begun, everyone)


if __name__ == "__main__":
    main()
