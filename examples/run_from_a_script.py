"""From simulated particles to parts and states, step by step, without the command line.

python examples/run_from_a_script.py FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

from cryoparts import pipeline, simulate
from cryoparts.config import ModelConfig, PartsConfig, RunConfig, TrainingConfig
from cryoparts.io.structure import write_structure
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import CompositionOptions
from cryoparts.simulation.structures.toy_complex import toy_complex

PARTICLES, EPOCHS = 800, 5


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_structure(folder / "toy.cif", toy_complex(seed=0))
    imaging = ImagingOptions(n_particles=PARTICLES, box_size=32, pixel_size_angstrom=8.0, snr=1.0)
    data = simulate(
        folder / "toy.cif", folder / "data", CompositionOptions(n_segments=3), imaging=imaging
    )
    config = RunConfig(
        particles=str(data / "particles.star"),
        model=str(data / "model.cif"),
        gaussians=ModelConfig(n_gaussians=128),
        training=TrainingConfig(vary=("amplitude",), epochs=EPOCHS, batch_size=16),
        parts=PartsConfig(embedding="pca", min_part_size=10),
    )
    run = pipeline.start_run(config, folder / "run", tell=print)
    trained = pipeline.train_run(run)
    print(
        f"held-out FRC {trained.held_out_frc_neutral:.3f} of the neutral model, "
        f"{trained.held_out_frc:.3f} of the trained one"
    )
    found = pipeline.find_parts(run, config.parts)
    print(f"{found.labels.n_parts} parts")
    composition = pipeline.judge_composition(run)
    if composition is not None:
        for name, part in zip(composition.part_names, composition.parts, strict=True):
            print(f"{name}: {part.change}, {part.occupancy:.0%} of the particles have it")
    print(pipeline.report_run(run).page)


if __name__ == "__main__":
    main()
