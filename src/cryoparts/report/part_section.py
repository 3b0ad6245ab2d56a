"""What the page shows of each part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cryoparts.figures.compact_volumes import VOXELS_ON_PAGE
from cryoparts.figures.map_scene import map_scene
from cryoparts.figures.maps import map_views, part_region, slices, surfaces
from cryoparts.figures.pictures import data_uri, small_png
from cryoparts.figures.state_maps import read_state_maps
from cryoparts.figures.states import fsc_curves, particle_states
from cryoparts.figures.viewpoints import viewpoint_of
from cryoparts.io.run_directory import RunDirectory
from cryoparts.parallel.current import team
from cryoparts.report.beliefs import UNTESTED, Belief, beliefs_of
from cryoparts.report.section_maps import changes_of_part
from cryoparts.report.verdict import Finding, StateRow, findings, state_rows
from cryoparts.report.wording import percent

if TYPE_CHECKING:
    from markupsafe import Markup
    from numpy.typing import NDArray

    from cryoparts.figures.maps import MapView
    from cryoparts.figures.part_states import PartStates
    from cryoparts.figures.pictures import Picture, Scene
    from cryoparts.figures.run_results import RunResults


@dataclass(frozen=True)
class Thumbnail:
    """A map seen from one side, small."""

    title: str
    front: str
    side: str
    """Addresses of the pictures, which need no network."""


@dataclass(frozen=True)
class PartSection:
    """Figures and numbers of one part; None for what has not been made."""

    finding: Finding
    mass: str
    belief: Belief
    particles: Picture | None = None
    rows: tuple[StateRow, ...] = ()
    notes: tuple[str, ...] = ()
    fsc: Picture | None = None
    surfaces: Picture | None = None
    thumbnails: tuple[Thumbnail, ...] = ()
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
    volumes = sum(len(p.maps) + len(p.differences) for p in results.states.values())
    most_voxels = VOXELS_ON_PAGE // max(volumes, 1)
    drawn = _Drawn(results, findings(results), beliefs_of(results.folder), most_voxels)
    numbers = np.arange(len(drawn.findings))
    return [of for _, of in team().sweep(drawn, numbers, 1, worth_sending=2)]


@dataclass(frozen=True)
class _Drawn:
    """Draws the section of one part; a part takes seconds."""

    results: RunResults
    findings: list[Finding]
    beliefs: dict[int, Belief]
    most_voxels: int

    def __call__(self, numbers: NDArray[np.int64]) -> PartSection:
        """Of the finding of that number."""
        finding = self.findings[int(numbers[0])]
        part = self.results.states.get(finding.label)
        belief = self.beliefs.get(finding.label, UNTESTED)
        return _section(self.results, finding, part, belief, self.most_voxels)


def _section(
    results: RunResults,
    finding: Finding,
    part: PartStates | None,
    belief: Belief,
    most_voxels: int,
) -> PartSection:
    mass = percent(finding.mass_share)
    if part is None:
        return PartSection(finding, mass, belief)
    maps = read_state_maps(part)
    picture, still, scene = None, None, None
    small: tuple[Thumbnail, ...] = ()
    if maps is not None and results.model is not None and results.parts is not None:
        members = results.parts.members(finding.label)
        positions = results.model.positions.astype(np.float64)
        region = part_region(maps, positions[members], positions[~members])
        viewpoint = viewpoint_of(positions[members], positions[results.parts.members(0)])
        views = map_views(maps, region, finding.colour, viewpoint)
        small = tuple(_thumbnail(view) for view in views)
        picture = surfaces(finding.label, views)
        still = slices(maps, positions[members].mean(axis=0))
        scene = map_scene(maps, region, finding.colour, picture, most_voxels, viewpoint.oblique)
    return PartSection(
        finding,
        mass,
        belief,
        particles=particle_states(part),
        rows=tuple(state_rows(part)),
        notes=tuple(f"State {state}: {note}" for state, note in part.notes.items()),
        fsc=fsc_curves(part) if part.fsc else None,
        surfaces=picture,
        thumbnails=small,
        slices=still,
        scene=scene,
        changes=changes_of_part(RunDirectory(results.folder).reconstruction_path(finding.label)),
    )


def _thumbnail(view: MapView) -> Thumbnail:
    front, side = (data_uri(small_png(image)) for image in (view.front, view.side))
    return Thumbnail(view.title, front, side)
