"""`cryoparts decode`: what the trained networks say of each particle, as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import say
from cryoparts.cli.options import RunFolder
from cryoparts.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def decode(
    run: RunFolder,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    particles: Path | None = None,
) -> None:
    """Write relative amplitudes (P, N) and displacements (P, N, 3) in Å as .npz.

    Parameters
    ----------
    run
        Folder of a run.
    output
        The .npz file to write: names, relative_amplitudes, displacements, relative_widths.
    particles
        Text file with one particle's name a line: decode these, in this order.
    """
    import numpy as np

    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.io.atomic import write_atomically
    from cryoparts.io.run_directory import RunDirectory
    from cryoparts.training.setup import set_threads

    folder = RunDirectory.open(run)
    set_threads(folder.config().training.threads)
    trained = TrainedDecoder(folder)
    chosen = None if particles is None else _chosen(particles, trained.particles.names)
    decoded = trained.decode(chosen)
    kinds = {
        "relative_amplitudes": decoded.relative_amplitudes,
        "displacements": decoded.displacements,
        "relative_widths": decoded.relative_widths,
    }
    arrays = {name: array for name, array in kinds.items() if array is not None}
    with write_atomically(output.with_suffix(".npz")) as temporary:
        np.savez(temporary, allow_pickle=False, names=decoded.names, **arrays)
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    say(f"{output.with_suffix('.npz')}: {shapes}")


def _chosen(path: Path, names: NDArray[np.str_]) -> NDArray[np.int64]:
    from cryoparts.io.names import rows_of_names

    if not path.is_file():
        raise InputError(f"--particles {path}", "there is no such file", "Check the path.")
    wanted = [name.strip() for name in path.read_text(encoding="utf-8").split("\n")]
    return rows_of_names(names, [name for name in wanted if name], f"--particles {path}")
