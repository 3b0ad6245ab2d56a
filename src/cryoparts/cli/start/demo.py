"""`cryoparts demo`: the main job on a molecule that the program makes itself."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from cryoparts.cli.console import progress_bar, progress_bars, say
from cryoparts.cli.options import InputOptions, run_config
from cryoparts.cli.results.report import show_report
from cryoparts.cli.steps import show_steps
from cryoparts.cli.truth.evaluate import evaluate_run_folder
from cryoparts.config import ModelConfig, PreprocessingConfig, TrainingConfig
from cryoparts.report.wording import duration
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import CompositionOptions

N_PARTICLES = 2000
"""Particles: two thousand train in a minute."""

N_GAUSSIANS = 768
"""Gaussians: about 80 a piece."""

EPOCHS = 8
"""Epochs of 57 steps: 98.8% of the Gaussians are right after them."""


def demo(
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="Folder to make.")] = Path(
        "demo"
    ),
    seed: int = 0,
) -> None:
    """Simulate a complex of nine pieces, eight of which come and go; find them; report.

    Parameters
    ----------
    output
        Folder to make: data/ (the simulated particles) and run/ (the result).
    seed
        Seed of the complex, the particles and the training.
    """
    from cryoparts.io.run_directory import require_new_folder
    from cryoparts.parallel.current import team
    from cryoparts.pipeline.outputs import report_run
    from cryoparts.pipeline.start import start_run

    started = time.perf_counter()
    require_new_folder(output)
    output.mkdir(parents=True, exist_ok=True)
    team().foresee(EPOCHS * N_PARTICLES)
    data = _simulate(output, seed)
    config = run_config(
        data / "particles.star",
        data / "model.cif",
        InputOptions(),
        PreprocessingConfig(),
        ModelConfig(n_gaussians=N_GAUSSIANS),
        TrainingConfig(vary=("amplitude",), epochs=EPOCHS, batch_size=32, seed=seed),
    )
    with progress_bars() as progress:
        run = start_run(config, output / "run", tell=say, progress=progress)
    with run.directory.logging():
        # the one report has the comparison with the truth in it
        show_steps(run, config, resume=False, report=False)
        evaluate_run_folder(run, data / "truth.npz", oracle=True)
        with progress_bar("writing the report"):
            written = report_run(run)
        show_report(written)
        say(f"demo done in {duration(time.perf_counter() - started)}")


def _simulate(output: Path, seed: int) -> Path:
    from cryoparts.simulation.composition import simulate_composition
    from cryoparts.simulation.structures.toy_complex import toy_complex, write_toy_segments

    segments = output / "segments.csv"
    write_toy_segments(segments)
    imaging = ImagingOptions(n_particles=N_PARTICLES, pixel_size_angstrom=5.0, seed=seed)
    with progress_bar("simulating") as shown:
        return simulate_composition(
            toy_complex(seed),
            output / "data",
            imaging,
            CompositionOptions(segments_file=segments),
            shown,
        )
