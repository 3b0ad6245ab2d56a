"""What each part is, and how it moves: a section of the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from cryoparts.figures.motion import motion_on_model, part_motion
from cryoparts.io.run_directory import RunDirectory
from cryoparts.motion.motion_files import is_told, read_motion_summary, read_part_motion
from cryoparts.palette import part_colour, part_title
from cryoparts.parts.part_description import read_description, read_stability
from cryoparts.report.environment import render

if TYPE_CHECKING:
    from cryoparts.figures.pictures import Picture
    from cryoparts.figures.run_results import RunResults
    from cryoparts.parts.part_labels import PartLabels

STABILITY_TITLES = {
    "null_ratio": "null ratio",
    "stability_seeds": "over seeds",
    "stability_halves": "over half-sets",
    "stability_subsamples": "over subsamples",
    "flagged": "flagged",
}


MOST_CHAINS = 4
"""Runs of residues in the table of parts."""


@dataclass(frozen=True)
class MotionSection:
    """The section: HTML, empty where there is nothing to say, and its figures."""

    html: Markup
    pictures: tuple[Picture, ...] = ()
    contents: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Entries of motions.json, by the number of the part."""


@dataclass(frozen=True)
class DescribedRow:
    """One part in the table of parts, as text."""

    title: str
    colour: str
    gaussians: str
    mass: str
    kind: str
    numbers: str
    chains: str
    all_chains: str
    stability: tuple[str, ...]


@dataclass(frozen=True)
class MotionRow:
    """One part in the table of motions, as text."""

    title: str
    colour: str
    angle: str
    axis: str
    pivot: str
    slide: str
    displacement: str
    residual: str
    shares: str


def motion_section(results: RunResults) -> MotionSection:
    """Tables of the parts and of their motions, with figures; empty before the parts are found.

    Raises
    ------
    InputError
        If a file of the run is damaged.
    """
    run = RunDirectory(results.folder)
    described = read_description(run.parts_path)
    summary = read_motion_summary(run.motion_path)
    if results.parts is None or results.model is None or not (described or summary):
        return MotionSection(Markup())
    stability = read_stability(run.trust_path)
    columns = [key for key in STABILITY_TITLES if any(key in row for row in stability.values())]
    contents = _contents(summary)
    pictures = _pictures(results, run, contents)
    html = render(
        "section_motion.html.j2",
        described=[_described(row, stability.get(row["part"], {}), columns) for row in described],
        stability=[STABILITY_TITLES[key] for key in columns],
        motions=[_motion(results.parts, part, content) for part, content in contents.items()],
        frame="" if summary is None else summary["frame"],
        core=None if summary is None else summary["core"],
        # runs of earlier versions do not say
        corrected=bool(summary and summary.get("corrected_by_the_images")),
        pictures=pictures,
    )
    return MotionSection(html, pictures, contents)


def _contents(summary: dict[str, Any] | None) -> dict[int, dict[str, Any]]:
    if summary is None:
        return {}
    return {int(label.removeprefix("part_")): one for label, one in summary["parts"].items()}


def _pictures(
    results: RunResults, run: RunDirectory, contents: dict[int, dict[str, Any]]
) -> tuple[Picture, ...]:
    if not contents or results.model is None or results.parts is None:
        return ()
    pictures = [motion_on_model(results.model, results.parts, contents)]
    for part, content in contents.items():
        if not content["screw"]["turns"]:
            continue
        _, columns = read_part_motion(run.motion_path, part)
        angles = columns["signed_angle_degrees"]
        if "relative_amplitude" in columns:
            there = columns["relative_amplitude"] > 0.5
            angles = angles[there] if there.any() else angles
        title = part_title(part, results.parts.name(part))
        pictures.append(part_motion(part, title, results.model, results.parts, content, angles))
    return tuple(pictures)


def _described(row: dict[str, str], trust: dict[str, str], columns: list[str]) -> DescribedRow:
    number = 0 if row["part"] == "core" else int(row["part"].removeprefix("part_"))
    return DescribedRow(
        title="core" if number == 0 else part_title(number, row["name"]),
        colour=part_colour(number),
        gaussians=row["gaussians"],
        mass=f"{100 * float(row['mass_share']):.1f}%",
        kind=row["kind"],
        numbers=_numbers(row) if row["kind"] else "",
        chains=_first_chains(row["chains"]),
        all_chains=row["chains"],
        stability=tuple(_rounded(trust.get(key, "")) for key in columns),
    )


def _first_chains(chains: str) -> str:
    """The longest runs of residues, which stand first; the others are left to the details."""
    told = chains.split(", ")
    more = len(told) - MOST_CHAINS
    return ", ".join(told[:MOST_CHAINS]) + (f" and {more} more" if more > 1 else "")


def _rounded(cell: str) -> str:
    """A number with two digits after the point; words as they are."""
    try:
        return f"{float(cell):.2f}"
    except ValueError:
        return cell


def _numbers(row: dict[str, str]) -> str:
    told = []
    if float(row["amplitude_deviation"]) > 0:
        told.append(f"amount ± {100 * float(row['amplitude_deviation']):.0f}%")
    if float(row["displacement_angstrom"]) > 0:
        rigid = f"{100 * float(row['rigid_share']):.0f}% rigid"
        told.append(f"{float(row['displacement_angstrom']):.1f} Å r.m.s., {rigid}")
    return "; ".join(told)


def _motion(parts: PartLabels, part: int, content: dict[str, Any]) -> MotionRow:
    screw, angles = content["screw"], content["signed_angle_degrees"]
    axis = ", ".join(f"{value:.2f}" for value in screw["axis"])
    pivot = ", ".join(f"{value:.0f}" for value in screw["pivot_angstrom"])
    low, high = angles["quantile_05"], angles["quantile_95"]
    if not is_told(content):
        angle, rest = "at rest: images tell no motion", [""] * 6
        return MotionRow(part_title(part, parts.name(part)), part_colour(part), angle, *rest)
    return MotionRow(
        title=part_title(part, parts.name(part)),
        colour=part_colour(part),
        angle=f"{angles['mean']:+.1f} ± {angles['deviation']:.1f}° ({low:+.1f} to {high:+.1f}°)",
        axis=f"({axis}) ± {screw['axis_error_degrees']:.1f}°",
        pivot=f"({pivot}) ± {screw['pivot_error_angstrom']:.1f} Å",
        slide=f"{screw['slide_angstrom_per_degree']:+.2f} Å/°",
        displacement=f"{content['displacement_rms_angstrom']:.1f} Å",
        residual=f"{content['residual_rms_angstrom']:.1f} Å",
        shares=f"{100 * screw['share_of_rigid_motion']:.0f}%",
    )
