"""Where a part's states differ: the strongest peaks, and the chains that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from cryoparts.io.tables import read_json, read_table
from cryoparts.palette import part_words
from cryoparts.report.wording import percent

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pandas as pd

MOST_PEAKS = 8
"""Peaks listed on the page; all are in peaks.csv."""

MOST_CHAINS = 12
"""Chains listed on the page; all are in changes.csv."""

CHANGED_CHAIN = 0.2
"""Chains with a smaller share of their atoms in significant voxels are not named."""


def changes_of_part(folder: Path) -> Markup:
    """What the difference maps of a reconstruction folder show, as HTML; empty if nothing.

    Parameters
    ----------
    folder : Path
        ``reconstruction/part_k`` of a run; older ones have no tables of peaks.

    Raises
    ------
    InputError
        If a table cannot be read.
    """
    summary = read_json(folder / "summary.json")
    if not summary or not (folder / "peaks.csv").is_file():
        return Markup()
    peaks = read_table(folder / "peaks.csv", ["difference", "z_score", "part"])
    changed = read_table(folder / "changes.csv", ["difference", "kind", "name"])
    blocks = [
        _difference(name, of, peaks[peaks["difference"] == name],
                    changed[changed["difference"] == name])
        for name, of in dict(summary.get("differences", {})).items()
        if of.get("largest_gain_z") is not None
    ]  # fmt: skip
    blocks.append(_resolutions(summary))
    if not any(blocks):
        return Markup()
    return Markup("<h3>Where the states differ</h3>") + Markup("\n").join(b for b in blocks if b)


def _difference(
    name: str, summary: dict[str, Any], peaks: pd.DataFrame, changed: pd.DataFrame
) -> Markup:
    """One difference: a sentence, its highest peaks, the chains that changed most."""
    first, second = name.removeprefix("difference_").split("_minus_")
    title = f"State {first} − state {second}"
    volume = summary["significant_volume_cubic_angstrom"]
    if not volume:
        return _paragraph(f"{title}: nothing differs beyond the noise.")
    power = summary["share_of_significant_power"]
    where = ", ".join(f"{percent(share)} in {part_words(part)}" for part, share in power.items()
                      if share >= 0.01)  # fmt: skip
    text = f"{title}: {volume:,.0f} Å³ differ beyond the noise. Of the difference’s power {where}."
    chains = _chains(changed)
    if chains:
        text += f" Chains (share of atoms that changed): {chains}."
    order = peaks["z_score"].abs().sort_values(ascending=False).index
    shown = peaks.loc[order[:MOST_PEAKS]]
    rows = [_row(peak) for peak in shown.to_dict("records")]
    left = len(peaks) - len(rows)
    hint = f"{left} more peaks are in peaks.csv." if left else ""
    header = ("peak", "z", "x, y, z (Å)", "part", "nearest residue")
    return _paragraph(text) + _table(header, rows) + (_paragraph(hint) if hint else Markup())


def _row(peak: dict[Any, Any]) -> tuple[str, ...]:
    place = ", ".join(f"{float(peak[axis]):.0f}" for axis in ("x", "y", "z"))
    residue = ""
    if isinstance(peak.get("chain"), str):
        residue = f"{peak['chain']} {peak['residue_name']} {float(peak['residue_number']):.0f}"
    score = f"{float(peak['z_score']):.1f}"
    return str(peak["change"]), score, place, part_words(str(peak["part"])), residue


def _chains(changed: pd.DataFrame) -> str:
    of_chains = changed[changed["kind"] == "chain"]
    share = of_chains["share_gained"] + of_chains["share_lost"]
    told = [
        f"{name} {percent(value)}"
        for name, value in zip(of_chains["name"], share, strict=True)
        if value >= CHANGED_CHAIN
    ]
    more = f" and {len(told) - MOST_CHAINS} more (changes.csv)" if len(told) > MOST_CHAINS else ""
    return ", ".join(told[:MOST_CHAINS]) + more


def _resolutions(summary: dict[str, Any]) -> Markup:
    """Resolution of every state inside the part's own mask."""
    known = [
        f"{part_words(name)} {of['resolution_within_part_angstrom']:.1f} Å"
        for name, of in dict(summary.get("states", {})).items()
        if of.get("resolution_within_part_angstrom")
    ]
    if not known:
        return Markup()
    return _paragraph("Resolution within the part’s own mask: " + ", ".join(known) + ".")


def _paragraph(text: str) -> Markup:
    return Markup("<p>{}</p>").format(text)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    head = Markup("").join(Markup('<th scope="col">{}</th>').format(cell) for cell in header)
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(Markup("<td>{}</td>").format(escape(cell)) for cell in row)
        )
        for row in rows
    )
    return Markup(
        '<div class="scroll"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(head, body)
