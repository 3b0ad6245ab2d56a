"""A rotatable scene of a part's maps: one mesh a state, two a difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go
from scipy.ndimage import gaussian_filter, map_coordinates, zoom
from skimage.measure import marching_cubes

from cryoparts.figures.maps import SURFACE_COLOUR
from cryoparts.figures.parts import scene_layout
from cryoparts.figures.pictures import Scene, View
from cryoparts.figures.state_maps import without_dust
from cryoparts.palette import GAINED_COLOUR, LOST_COLOUR

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from cryoparts.figures.pictures import Picture
    from cryoparts.figures.state_maps import StateMaps

    FloatArray = NDArray[np.float64]
    Volume = NDArray[np.float32]

TRIANGLES_ON_PAGE = 300_000
"""All meshes together: about 16 bytes a triangle once written, 5 MB."""

MOST_TRIANGLES = 24_000
"""Triangles of one surface: finer ones look the same at the size of the page."""

FEWEST_TRIANGLES = 1_500
"""Triangles of one surface below which a map is no longer recognised."""

LIGHTING = {"ambient": 0.55, "diffuse": 0.6, "specular": 0.12, "roughness": 0.7, "fresnel": 0.05}


@dataclass(frozen=True)
class Mesh:
    """Triangles of an isosurface: vertices (V, 3) as voxel (z, y, x), faces (T, 3)."""

    vertices: FloatArray
    faces: NDArray[np.int32]


def triangle_budget(meshes: int) -> int:
    """Triangles that each of so many meshes may have."""
    return int(np.clip(TRIANGLES_ON_PAGE // max(meshes, 1), FEWEST_TRIANGLES, MOST_TRIANGLES))


def isosurface(volume: Volume, level: float, budget: int) -> Mesh | None:
    """Triangles of a surface, of a coarser grid where there would be more than `budget`.

    None where the volume does not rise above the level.
    """
    # a solvent border, so that every surface is closed
    padded = np.pad(
        without_dust(volume, level), 1, constant_values=min(float(volume.min()), level - 1e-6)
    )
    scale = 1.0
    for _ in range(6):
        grid = padded if scale >= 1.0 else _coarser(padded, scale)
        if not float(grid.min()) < level < float(grid.max()):
            return None
        vertices, faces, _, _ = marching_cubes(grid, level, allow_degenerate=False)
        if len(faces) <= budget:
            break
        # triangles grow with the square of the grid's side
        scale *= 0.97 * np.sqrt(budget / len(faces))
    # zoom keeps the first and the last voxel in place
    stretch = (np.array(padded.shape) - 1) / (np.array(grid.shape) - 1)
    return Mesh(vertices * stretch - 1.0, faces.astype(np.int32))


def _coarser(volume: Volume, scale: float) -> Volume:
    """A grid `scale` times as fine, smoothed first: what it cannot hold must not fold back."""
    smooth = gaussian_filter(volume, 0.35 / scale)
    coarse: Volume = zoom(smooth, scale, order=1, grid_mode=False)
    return coarse


def map_scene(
    maps: StateMaps,
    region: FloatArray,
    colour: str,
    poster: Picture,
    budget: int,
    towards_viewer: FloatArray,
) -> Scene | None:
    """States and differences as meshes with a button for each; None where all are empty."""
    traces: list[tuple[str, go.Mesh3d]] = []
    for state, volume in maps.states.items():
        mesh = isosurface(volume, maps.levels[state], budget)
        if mesh is not None:
            traces.append((f"state {state}", _tinted(mesh, maps, region, colour, f"state {state}")))
    for (one, other), difference in maps.differences.items():
        view = f"state {one} − state {other}"
        base = isosurface(maps.states[other], maps.levels[other], budget // 2)
        signed = (
            (difference.volume, GAINED_COLOUR, f"more in state {one}"),
            (-difference.volume, LOST_COLOUR, f"more in state {other}"),
        )
        if base is not None:
            traces.append((view, _plain(base, maps, SURFACE_COLOUR, f"state {other}", 0.25)))
        for volume, sign_colour, name in signed:
            mesh = isosurface(volume, difference.level, budget // 2)
            if mesh is not None:
                traces.append((view, _plain(mesh, maps, sign_colour, name, 1.0)))
    if not traces:
        return None
    titles = list(dict.fromkeys(title for title, _ in traces))
    views = tuple(View(t, tuple(title == t for title, _ in traces)) for t in titles)
    figure = go.Figure([trace for _, trace in traces])
    for trace, visible in zip(figure.data, views[0].visible, strict=True):
        trace.visible = visible
    # the lamp stands above and beside the viewer
    lamp = 4e4 * (towards_viewer + np.array([0.3, 0.3, 0.8]))
    figure.update_traces(lightposition=dict(zip("xyz", lamp.tolist(), strict=True)))
    figure.update_layout(**scene_layout(towards_viewer), showlegend=True)
    return Scene(poster, str(figure.to_json()), views)


def _geometry(mesh: Mesh, maps: StateMaps) -> dict[str, object]:
    x, y, z = maps.to_angstrom(mesh.vertices).astype(np.float32).T
    kind = np.uint16 if len(mesh.vertices) < 2**16 else np.int32
    # marching_cubes winds its triangles so that in (x, y, z) they face outward
    i, j, k = mesh.faces.astype(kind).T
    return {
        "x": x,
        "y": y,
        "z": z,
        "i": i,
        "j": j,
        "k": k,
        "lighting": LIGHTING,
        "hoverinfo": "name",
    }


def _plain(mesh: Mesh, maps: StateMaps, colour: str, name: str, opacity: float) -> go.Mesh3d:
    return go.Mesh3d(
        **_geometry(mesh, maps), color=colour, opacity=opacity, name=name, showlegend=True
    )


def _tinted(mesh: Mesh, maps: StateMaps, region: FloatArray, colour: str, name: str) -> go.Mesh3d:
    """A mesh whose vertices within the part have the part's colour."""
    share = map_coordinates(region, mesh.vertices.T, order=1, mode="nearest")
    return go.Mesh3d(
        **_geometry(mesh, maps),
        intensity=np.clip(np.rint(255 * share), 0, 255).astype(np.uint8),
        cmin=0,
        cmax=255,
        colorscale=[[0.0, SURFACE_COLOUR], [1.0, colour]],
        showscale=False,
        name=name,
        showlegend=False,
    )
