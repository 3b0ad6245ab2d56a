"""What the page shows of each part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.figures.map_scene import map_scene, triangle_budget
from cryoparts.figures.maps import part_region, slices, surfaces
from cryoparts.figures.state_maps import read_state_maps
from cryoparts.figures.states import fsc_curves, particle_states
from cryoparts.figures.viewpoints import viewpoint_of
from cryoparts.io.run_directory import RunDirectory
from cryoparts.report.section_maps import changes_of_part
from cryoparts.report.verdict import Finding, StateRow, findings, state_rows
from cryoparts.report.wording import percent

if TYPE_CHECKING:
    from markupsafe import Markup

    from cryoparts.figures.part_states import PartStates
    from cryoparts.figures.pictures import Picture, Scene
    from cryoparts.figures.run_results import RunResults


@dataclass(frozen=True)
class PartSection:
    """Figures and numbers of one part; None for what has not been made."""

    finding: Finding
    mass: str
    particles: Picture | None = None
    rows: tuple[StateRow, ...] = ()
    notes: tuple[str, ...] = ()
    fsc: Picture | None = None
    surfaces: Picture | None = None
    slices: Picture | None = None
    scene: Scene | None = None
    changes: Markup | None = None

    @property
    def has_amplitude(self) -> bool:
        """Whether the table has a column of amplitudes."""
        return any(row.amplitude != "–" for row in self.rows)

    @property
    def has_displacement(self) -> bool:
        """Whether the table has a column of displacements."""
        return any(row.displacement != "–" for row in self.rows)

    @property
    def pictures(self) -> list[Picture]:
        """The figures of this part."""
        shown = (self.particles, self.fsc, self.surfaces, self.slices)
        return [picture for picture in shown if picture is not None]


def part_sections(results: RunResults) -> list[PartSection]:
    """One section a part, largest first.

    Raises
    ------
    InputError
        If a map cannot be read.
    """
    meshes = sum(len(p.maps) + 2 * len(p.differences) for p in results.states.values())
    budget = triangle_budget(meshes)
    return [
        _section(results, finding, results.states.get(finding.label), budget)
        for finding in findings(results)
    ]


def _section(
    results: RunResults, finding: Finding, part: PartStates | None, budget: int
) -> PartSection:
    mass = percent(finding.mass_share)
    if part is None:
        return PartSection(finding, mass)
    maps = read_state_maps(part)
    picture, still, scene = None, None, None
    if maps is not None and results.model is not None and results.parts is not None:
        members = results.parts.members(finding.label)
        positions = results.model.positions.astype(np.float64)
        region = part_region(maps, positions[members], positions[~members])
        viewpoint = viewpoint_of(positions[members], positions[results.parts.members(0)])
        picture = surfaces(maps, region, finding.colour, viewpoint)
        still = slices(maps, positions[members].mean(axis=0))
        scene = map_scene(maps, region, finding.colour, picture, budget, viewpoint.oblique)
    return PartSection(
        finding,
        mass,
        particles=particle_states(part),
        rows=tuple(state_rows(part)),
        notes=tuple(f"State {state}: {note}" for state, note in part.notes.items()),
        fsc=fsc_curves(part) if part.fsc else None,
        surfaces=picture,
        slices=still,
        scene=scene,
        changes=changes_of_part(RunDirectory(results.folder).reconstruction_path(finding.label)),
    )
