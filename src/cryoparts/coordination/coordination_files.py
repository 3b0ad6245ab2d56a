"""The coordination/ folder: pairs.csv, assembly.csv, assembly.json, summary.json."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cryoparts.io.atomic import write_text
from cryoparts.io.tables import write_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryoparts.coordination.assembly_graph import AssemblyGraph
    from cryoparts.coordination.coordination import Pair


PAIRS = "pairs.csv"


def save_coordination(
    folder: Path,
    pairs: Sequence[Pair],
    part_names: Sequence[str],
    particles: int,
    assembly: AssemblyGraph | None,
) -> None:
    """Write the folder; the assembly where composition was judged.

    Parameters
    ----------
    folder : Path
    pairs : sequence of Pair
    part_names : sequence of str
        What the user calls parts 1, 2, ...
    particles : int
    assembly : AssemblyGraph or None
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / PAIRS, _pair_columns(pairs, part_names, particles))
    summary: dict[str, Any] = {
        "particles": particles,
        "pairs": len(pairs),
        "coordinated": [[f"part_{p.a}", f"part_{p.b}"] for p in pairs if p.is_coordinated],
        "permutation_p_below_0.05": sum(p.p_permutation < 0.05 for p in pairs),
    }
    write_text(folder / "summary.json", json.dumps(summary, indent=2) + "\n")
    for name in ("assembly.json", "assembly.csv"):
        (folder / name).unlink(missing_ok=True)
    if assembly is not None:
        content = assembly.as_dict(part_names)
        write_text(folder / "assembly.json", json.dumps(content, indent=2) + "\n")
        write_table(folder / "assembly.csv", _requirement_columns(assembly, part_names))


def _pair_columns(
    pairs: Sequence[Pair], part_names: Sequence[str], particles: int
) -> dict[str, np.ndarray[Any, Any]]:
    def number(field: str) -> np.ndarray[Any, Any]:
        return np.array([getattr(pair, field) for pair in pairs], dtype=np.float64)

    def cases(row: int, column: int) -> np.ndarray[Any, Any]:
        """Particles in one of the four cases, empty where it is not a matter of presence."""
        return np.array(
            [
                "" if p.joint is None else f"{particles * p.joint.shares[row, column]:.1f}"
                for p in pairs
            ],
            dtype=np.str_,
        )

    return {
        "part_a": np.array([f"part_{p.a}" for p in pairs], dtype=np.str_),
        "part_b": np.array([f"part_{p.b}" for p in pairs], dtype=np.str_),
        "name_a": np.array([part_names[p.a - 1] for p in pairs], dtype=np.str_),
        "name_b": np.array([part_names[p.b - 1] for p in pairs], dtype=np.str_),
        "kind_a": np.array([p.kinds[0] for p in pairs], dtype=np.str_),
        "kind_b": np.array([p.kinds[1] for p in pairs], dtype=np.str_),
        "correlation": number("correlation"),
        "low": number("low"),
        "high": number("high"),
        "spearman": number("spearman"),
        "mutual_information_bits": number("mutual_information_bits"),
        "p_permutation": number("p_permutation"),
        "p_value": number("p_value"),
        "p_adjusted": number("p_adjusted"),
        "smallest_effect": number("smallest_effect"),
        "verdict": np.array([p.verdict for p in pairs], dtype=np.str_),
        "both": cases(1, 1),
        "only_a": cases(1, 0),
        "only_b": cases(0, 1),
        "neither": cases(0, 0),
    }


def _requirement_columns(
    assembly: AssemblyGraph, part_names: Sequence[str]
) -> dict[str, np.ndarray[Any, Any]]:
    node_of = {part: n for n, node in enumerate(assembly.nodes) for part in node}
    found = assembly.requirements
    direct = [
        (node_of[r.earlier], node_of[r.later]) in assembly.edges
        or node_of[r.earlier] == node_of[r.later]
        for r in found
    ]
    numbers = ("both", "only_earlier", "only_later", "neither", "exceptions", "exceptions_high")
    return {
        "earlier": np.array([f"part_{r.earlier}" for r in found], dtype=np.str_),
        "later": np.array([f"part_{r.later}" for r in found], dtype=np.str_),
        "name_earlier": np.array([part_names[r.earlier - 1] for r in found], dtype=np.str_),
        "name_later": np.array([part_names[r.later - 1] for r in found], dtype=np.str_),
        "direct": np.array(["yes" if d else "implied" for d in direct], dtype=np.str_),
    } | {key: np.array([getattr(r, key) for r in found], dtype=np.float64) for key in numbers}
