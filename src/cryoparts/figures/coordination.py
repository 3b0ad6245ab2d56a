"""Occupancies, the matrix and the graph of coordination, and the order of assembly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np
from matplotlib.patches import Rectangle

from cryoparts.figures.pictures import bare, new_figure, picture_of
from cryoparts.palette import INK, MUTED, part_colour, part_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from matplotlib.axes import Axes

    from cryoparts.figures.pictures import Picture

FULL_COLOUR = 0.5
"""Correlation drawn in the fullest colour, at least."""

LONGEST_NAME = 14
"""Letters of a name before it is cut on an axis."""


def occupancies(table: pd.DataFrame) -> Picture:
    """Occupancy of each part with its interval, and the levels that its amplitude takes."""
    height = 0.9 + 0.3 * len(table)
    with new_figure(8.6, max(height, 1.9)) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        places = range(len(table))
        for place, row in zip(places, table.itertuples(), strict=True):
            colour = part_colour(place + 1)
            if np.isfinite(row.occupancy):
                left.plot([100 * row.low, 100 * row.high], [place, place], color=colour, lw=5)
                left.plot(100 * row.occupancy, place, "o", color=INK, ms=4)
            else:
                left.text(50, place, row.change, va="center", ha="center", color=MUTED, fontsize=8)
            for level, spread in {
                (row.level_absent, row.spread_absent),
                (row.level_present, row.spread_present),
            }:
                right.plot([level - spread, level + spread], [place, place], color=colour, lw=5)
                right.plot(level, place, "o", color=INK, ms=4)
        left.set(xlim=(0, 100), xlabel="particles that have the part (%)", title="Occupancy")
        left.set_yticks(places, [_short(name) for name in table["name"]])
        left.set_ylim(len(table) - 0.5, -0.5)
        right.set(xlabel="amount in the images (0 absent, 1 there)", title="Levels")
        return picture_of(
            figure,
            "composition_occupancies",
            "Left: share of the particles that have each part, with its 95% interval. Right: "
            "the amounts of the part that the images show, with their spread beyond the "
            "noise: two well apart mean present or absent.",
        )


def coordination_matrix(pairs: pd.DataFrame, names: dict[int, str]) -> Picture:
    """Correlation of every pair of parts; what may be leakage or chance in grey type."""
    numbers = sorted({*pairs["a"], *pairs["b"]})
    place = {part: row for row, part in enumerate(numbers)}
    values = np.full((len(numbers), len(numbers)), np.nan)
    for pair in pairs.itertuples():
        values[place[pair.a], place[pair.b]] = values[place[pair.b], place[pair.a]] = (
            pair.correlation
        )
    reach = max(FULL_COLOUR, float(np.nanmax(np.abs(values))))
    side = max(2.6, 0.42 * len(numbers) + 1.4)
    with new_figure(side + 0.9, side) as figure:
        axes = figure.subplots()
        drawn = axes.imshow(np.abs(values), cmap="Greys", vmin=0, vmax=reach)
        figure.colorbar(drawn, ax=axes, label="size of the correlation (0 to 1)", shrink=0.8)
        if len(numbers) <= 16:
            for pair in pairs.itertuples():
                _write_value(axes, place[pair.b], place[pair.a], pair, reach)
                _write_value(axes, place[pair.a], place[pair.b], pair, reach)
        labels = [_short(names[part]) for part in numbers]
        axes.set_xticks(range(len(numbers)), labels, rotation=60, ha="right")
        axes.set_yticks(range(len(numbers)), labels)
        axes.grid(visible=False)
        axes.set_title("Coordination of parts")
        return picture_of(
            figure,
            "coordination_matrix",
            "Correlation of every two parts over the particles; bold where they are coordinated "
            "beyond chance and leakage (adjusted p below 0.05), grey otherwise; hatched where it "
            "is negative: one or the other.",
            light=True,
        )


def _write_value(axes: Axes, x: int, y: int, pair: Any, reach: float) -> None:
    believed = pair.verdict == "coordinated"
    dark = abs(pair.correlation) > 0.6 * reach
    if believed and pair.correlation < 0:
        square = Rectangle(
            (x - 0.5, y - 0.5), 1, 1, fill=False, hatch="////", edgecolor=MUTED, linewidth=0
        )
        axes.add_patch(square)
    axes.text(
        x,
        y,
        f"{pair.correlation:+.2f}".replace("+0.", "+.").replace("-0.", "−."),
        ha="center",
        va="center",
        fontsize=7,
        fontweight="bold" if believed else "normal",
        color="white" if dark else INK if believed else MUTED,
    )


def coordination_graph(pairs: pd.DataFrame, names: dict[int, str]) -> Picture:
    """The parts as balls; a line between those that are coordinated."""
    graph = nx.Graph()
    graph.add_nodes_from(sorted({*pairs["a"], *pairs["b"]}))
    for pair in pairs[pairs["verdict"] == "coordinated"].itertuples():
        graph.add_edge(pair.a, pair.b, correlation=pair.correlation)
    places = nx.circular_layout(graph)
    with new_figure(4.6, 4.0) as figure:
        axes = figure.subplots()
        for a, b, edge in graph.edges(data=True):
            strength = edge["correlation"]
            axes.plot(
                *zip(places[a], places[b], strict=True),
                color=MUTED,
                linestyle="-" if strength > 0 else "--",
                lw=1.0 + 6.0 * abs(strength),
                zorder=1,
            )
            x, y = 0.5 * (places[a] + places[b])
            axes.text(x, y, f"{strength:+.2f}", fontsize=7, ha="center", bbox=_plate(), zorder=2)
        for part, (x, y) in places.items():
            axes.scatter(x, y, s=620, color=part_colour(part), zorder=3)
            axes.text(x, y, str(part), color="white", ha="center", va="center", zorder=4)
            axes.text(1.3 * x, 1.3 * y, _short(names[part]), ha="center", va="center", fontsize=8)
        axes.set(xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), title="Which parts change together")
        axes.set_aspect("equal")
        bare(axes)
        return picture_of(
            figure,
            "coordination_graph",
            "A line joins coordinated parts, as wide as the correlation: whole lines for parts "
            "that come together, broken ones for one or the other."
            if graph.edges
            else "No two parts are coordinated: each changes by itself.",
            light=True,
        )


def assembly_map(assembly: dict[str, Any]) -> Picture:
    """Parts from top to bottom in the order in which they come; arrows with counts."""
    nodes = assembly["nodes"]
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(nodes)))
    graph.add_edges_from((e["from_node"], e["to_node"]) for e in assembly["edges"])
    layers = [sorted(layer) for layer in nx.topological_generations(graph)]
    for depth, layer in enumerate(layers):
        for node in layer:
            graph.nodes[node]["layer"] = depth
    places = nx.multipartite_layout(graph, subset_key="layer", align="horizontal")
    widest = max((len(layer) for layer in layers), default=1)
    places = {
        node: np.array([_spread(layers, node), -graph.nodes[node]["layer"]]) for node in places
    }
    counts = {(r["earlier"], r["later"]): r for r in assembly["requirements"]}
    with new_figure(max(3.6, 1.35 * widest + 0.8), 1.0 + 1.15 * len(layers)) as figure:
        axes = figure.subplots()
        for a, b in graph.edges:
            axes.annotate(
                "",
                places[b],
                places[a],
                arrowprops={"arrowstyle": "-|>", "color": MUTED, "shrinkA": 20, "shrinkB": 20},
            )
            x, y = 0.5 * (places[a] + places[b])
            axes.text(x, y, _counted(nodes[a], nodes[b], counts), fontsize=7, ha="center",
                      va="center", bbox=_plate())  # fmt: skip
        for node, (x, y) in places.items():
            part = int(nodes[node]["parts"][0].removeprefix("part_"))
            title = "\n".join(_short(name) for name in nodes[node]["names"])
            share = np.mean(nodes[node]["occupancies"])
            axes.text(
                x,
                y,
                f"{title}\n{100 * share:.0f}%",
                color="white",
                ha="center",
                va="center",
                fontsize=8,
                bbox={"boxstyle": "round,pad=0.4", "fc": part_colour(part), "ec": "none"},
            )
        axes.set_xlim(-0.6, widest - 0.4)
        axes.set_ylim(-len(layers) + 0.5, 0.5)
        axes.set_title("Order of assembly")
        bare(axes)
        return picture_of(
            figure,
            "assembly_map",
            "An arrow leads to a part that is not seen without the one it comes from; beside it "
            "the particles with both, and those that break the rule. The parts' occupancies are "
            "in their boxes."
            if assembly["edges"]
            else "No part requires another: none of these occurs only with another one.",
            light=True,
        )


def _spread(layers: Sequence[list[int]], node: int) -> float:
    """Place across of a node: its layer centred below the widest one."""
    widest = max(len(layer) for layer in layers)
    layer = next(layer for layer in layers if node in layer)
    return layer.index(node) + 0.5 * (widest - len(layer))


def _counted(
    earlier: dict[str, Any], later: dict[str, Any], counts: dict[tuple[str, str], dict[str, Any]]
) -> str:
    for a in earlier["parts"]:
        for b in later["parts"]:
            if (a, b) in counts:
                found = counts[a, b]
                return f"{found['both']:.0f} : {found['only_later']:.0f}"
    return ""


def _plate() -> dict[str, Any]:
    return {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85}


def _short(name: str) -> str:
    name = part_words(name)
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
