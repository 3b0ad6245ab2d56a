"""`cryoparts columns`: everything that a run says of each particle, as one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cryoparts.cli.console import say, table
from cryoparts.cli.options import RunFolder

if TYPE_CHECKING:
    from cryoparts.selection.particle_columns import ParticleColumns


def columns(
    run: RunFolder,
    *,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
) -> None:
    """List the columns that conditions and the dashboard know, or write them all.

    Parameters
    ----------
    run
        Folder of a run.
    output
        Table (.csv) to write: one row a particle, by its name. Default: list the columns.
    """
    from cryoparts.io.tables import write_table
    from cryoparts.pipeline.particles import particle_columns
    from cryoparts.run.run import Run

    found = particle_columns(Run.open(run))
    if output is None:
        _list(found)
        return
    write_table(output, {**found.identity(), **found.values})
    say(f"{output}: {len(found)} particles, {len(found.values)} columns")


def _list(found: ParticleColumns) -> None:
    import numpy as np

    from cryoparts.selection.particle_columns import MEANING

    rows = []
    for kind, of in found.by_kind().items():
        values = np.concatenate([found.values[f"{kind}:{o}" if o else kind] for o in of])
        known = values[np.isfinite(values)]
        spread = f"{known.min():.4g} to {known.max():.4g}"
        rows.append([kind, ", ".join(of), spread, len(values) - len(known) or "", MEANING[kind]])
    header = ["column", ": of", "values", "missing", "meaning"]
    table(f"{len(found)} particles, {len(found.values)} columns", header, rows)
    say('written as in --where "amplitude:part_1 < 0.3"; -o table.csv writes all of them')
    if found.aliases:
        say("; ".join(f"{number} is also called {name}" for name, number in found.aliases.items()))
