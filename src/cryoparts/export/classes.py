"""Which class each particle is in, for other programs: states of a part, or a selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.states.focused_particles import FocusedParticles


@dataclass(frozen=True)
class Classes:
    """M particles in K classes.

    Parameters
    ----------
    stem : str
        Of the names of files: ``part_1``, or the selection's name.
    noun : str
        What a class is called in them: ``state``; empty where there is one alone.
    names : str array, shape (M,)
        The particles' own names.
    numbers : int array, shape (M,)
        1 ... K.
    """

    stem: str
    noun: str
    names: NDArray[np.str_]
    numbers: NDArray[np.int64]

    @property
    def count(self) -> int:
        """K."""
        return int(self.numbers.max(initial=0))

    @property
    def by_name(self) -> dict[str, int]:
        """The class of each particle."""
        return dict(zip(self.names.tolist(), self.numbers.tolist(), strict=True))

    def files(self) -> dict[str, NDArray[np.str_]]:
        """Particles of each file, by its stem: all together, and where there are several, each."""
        whole = {self.stem: self.names}
        if self.count < 2:
            return whole
        each = {
            f"{self.stem}_{self.noun}_{number}": self.names[self.numbers == number]
            for number in range(1, self.count + 1)
        }
        return whole | {stem: names for stem, names in each.items() if len(names)}


def states_as_classes(stem: str, focused: FocusedParticles) -> Classes:
    """The states of a part, or of several together; particles in none of them are left out."""
    inside = focused.states > 0
    return Classes(stem, "state", focused.names[inside], focused.states[inside])


def selection_as_class(name: str, chosen: NDArray[np.str_]) -> Classes:
    """A selection as one class."""
    return Classes(name, "", chosen, np.ones(len(chosen), dtype=np.int64))
