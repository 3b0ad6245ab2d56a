"""The coordinates that a run's maps are written in: those of the user's own model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from cryoparts.io.atomic import write_text
from cryoparts.io.files import reading
from cryoparts.io.mrc import write_map

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike

FILE = "map_frame.json"


@dataclass(frozen=True)
class MapFrame:
    """Where the box centre lies in the user's coordinates, and how headers say so.

    Parameters
    ----------
    box_centre_angstrom : tuple of 3 floats
        (x, y, z), Å; the origin where the model's coordinates are about the box centre.
    by_start : bool
        Whether the user's map tells its place by NSTART and not by the origin. Written
        maps do the same where their voxels allow it: some programs read only one of the two.
    """

    box_centre_angstrom: tuple[float, float, float] = (0.0, 0.0, 0.0)
    by_start: bool = False

    @classmethod
    def load(cls, run: Path) -> Self:
        """The frame of a run folder; the box centre at 0 if it keeps none.

        Raises
        ------
        InputError
            If its file is damaged.
        """
        path = run / FILE
        if not path.exists():
            return cls()
        with reading(path, "a frame of maps", f"Start the run again, or remove {FILE}."):
            kept = json.loads(path.read_text(encoding="utf-8"))
            x, y, z = (float(v) for v in kept["box_centre_angstrom"])
            if not np.isfinite([x, y, z]).all():
                raise ValueError("the box centre is not finite")
            return cls((x, y, z), bool(kept["by_start"]))

    def save(self, run: Path) -> None:
        """Keep it in a run folder."""
        kept = {"box_centre_angstrom": list(self.box_centre_angstrom), "by_start": self.by_start}
        write_text(run / FILE, json.dumps(kept) + "\n")

    def write(self, path: Path, density: ArrayLike, pixel_size: float) -> None:
        """Write a map [z, y, x] of the whole box, of any sampling, in the user's coordinates."""
        values = np.asarray(density)
        size = np.array(values.shape[::-1])
        x, y, z = np.array(self.box_centre_angstrom) - (size // 2) * pixel_size
        write_map(path, values, pixel_size, (x, y, z), by_start=self.by_start)


ABOUT_BOX_CENTRE = MapFrame()
