"""`cryoparts reconstruct`: maps of the states of a part."""

from __future__ import annotations

import itertools

from cryoparts.cli.console import progress_bar, say
from cryoparts.cli.focus import PartName, chosen_parts
from cryoparts.cli.options import RunFolder
from cryoparts.gaussians.model import GaussianModel
from cryoparts.io.run_directory import RunDirectory
from cryoparts.particles.prepared import PreparedParticles
from cryoparts.parts.focus import FocusedParticles
from cryoparts.reconstruction.difference_map import difference_map
from cryoparts.reconstruction.half_maps import Reconstruction, reconstruct_half_maps
from cryoparts.reconstruction.map_files import write_reconstruction
from cryoparts.reconstruction.soft_mask import mask_around
from cryoparts.training.setup import set_threads

MASK_RADIUS_IN_WIDTHS = 3.0


def reconstruct(run: RunFolder, *, part: PartName = None) -> None:
    """Half maps, FSC and a Wiener-filtered map of each state, and maps of the differences.

    The images are the working images of the run; the maps have their box.
    """
    folder = RunDirectory.open(run)
    with folder.logging():
        reconstruct_parts(folder, chosen_parts(folder, part))


def reconstruct_parts(run: RunDirectory, parts: list[int]) -> None:
    """Reconstruct the states of each of the parts and write their reconstruction/ folders."""
    config = run.config().training
    threads = set_threads(config.threads)
    particles = PreparedParticles.open(run.particles_path)
    model = GaussianModel.load(run.gaussians_path)
    mask = mask_around(
        model.positions,
        particles.box_size,
        particles.pixel_size_angstrom,
        radius_angstrom=MASK_RADIUS_IN_WIDTHS * float(model.widths.mean()),
    )
    for part in parts:
        path = run.require(run.focus_path(part), f"cryoparts focus {run.root} --part {part}")
        focused = FocusedParticles.load(path)
        maps: dict[int, Reconstruction] = {}
        states = range(1, focused.n_states + 1)
        done = 0
        with progress_bar(f"part_{part}") as shown:

            def advance(count: int) -> None:
                nonlocal done
                done += count
                shown(done, len(particles))

            for state in states:
                rows = focused.members(state)
                if len(rows):
                    maps[state] = reconstruct_half_maps(
                        particles,
                        rows,
                        threads=threads,
                        seed=config.seed,
                        mask=mask,
                        progress=advance,
                    )
        differences = {
            (i, j): difference_map(maps[i], maps[j], mask)
            for i, j in itertools.combinations(maps, 2)
        }
        empty = [state for state in states if state not in maps]
        write_reconstruction(run.reconstruction_path(part), maps, differences, empty)
        say(f"part_{part}: " + "; ".join(f"state_{k} {_describe(r)}" for k, r in maps.items()))


def _describe(result: Reconstruction) -> str:
    if result.resolution_angstrom is None:
        return f"{result.n_particles} particles, {result.note}"
    return f"{result.n_particles} particles, {result.resolution_angstrom:.1f} Å"
