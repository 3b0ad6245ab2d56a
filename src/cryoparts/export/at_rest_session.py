"""A ChimeraX script that opens consensus and map at rest, coloured by local resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cryoparts.io.atomic import write_text

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Map = NDArray[np.float32]

SCRIPT = "at_rest.cxc"

MAP_SIGMAS = 3.0
"""Contour level of both maps: standard deviations of the composite above its mean."""


def write_at_rest_session(folder: Path, composite: Map, local: tuple[Map, Map], mask: Map) -> Path:
    """Write at_rest.cxc: both maps at one contour, the consensus hidden, side by side on `tile`.

    Paths are relative: ChimeraX runs a script in the script's own folder.

    Parameters
    ----------
    folder : Path
        reconstruction/at_rest of a run, with the maps.
    composite : float32 array, shape (D, D, D)
    local : (float32 array, float32 array)
        Local resolution of consensus and composite, Å.
    mask : float32 array, shape (D, D, D)
        Of the molecule.
    """
    inside = mask > 0.5
    values = np.concatenate([one[inside] for one in local])
    low, high = (float(np.quantile(values, q)) for q in (0.02, 0.98))
    level = float(composite.mean() + MAP_SIGMAS * composite.std())
    lines = ["# Written by cryoparts. In ChimeraX: open at_rest.cxc", "close", "set bgColor white"]
    for number, name in enumerate(("composite", "consensus"), start=1):
        resolution = number + 10
        lines += [
            f"open {name}.mrc id {number}",
            f"volume #{number} step 1 style surface level {level:.6g}",
            f"open local_resolution_{name}.mrc id {resolution}",
            f"hide #{resolution} models",
            f"color sample #{number} map #{resolution} palette blue:white:orange "
            f"range {low:.2f},{max(high, low + 0.1):.2f}",
        ]
    lines += ["hide #2 models", "lighting soft", "view"]
    path = folder / SCRIPT
    write_text(path, "\n".join(lines) + "\n")
    return path
