"""The page of a benchmark: its tables and figures in Markdown, which any forge shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryoparts.benchmark.drawing import ShownRun
from cryoparts.benchmark.figures import noise_sweep
from cryoparts.benchmark.figures_assembly import assembly_pictures
from cryoparts.benchmark.figures_composition import composition_pictures
from cryoparts.benchmark.figures_motion import motion_pictures
from cryoparts.benchmark.ladder import ladder_markdown
from cryoparts.benchmark.table import table_markdown
from cryoparts.figures.pictures import Picture
from cryoparts.io.atomic import write_atomically, write_text
from cryoparts.palette import part_title

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cryoparts.benchmark.table import Table

PAGE_FILE = "benchmark.md"
FIGURES = "figures"
MAPS_SHOWN = 4
"""Maps a data set that are shown on the page."""

PICTURES = {
    "composition": composition_pictures,
    "motion": motion_pictures,
    "both": composition_pictures,
    "assembly": assembly_pictures,
}


def write_benchmark_page(
    folder: Path,
    benchmark: str,
    tables: Sequence[Table],
    records: Sequence[Mapping[str, Any]],
    shown: Mapping[str, Path],
    data: Path,
) -> Path:
    """Write benchmark.md and figures/*.png.

    Parameters
    ----------
    folder : Path
        Of the benchmark.
    benchmark : {"composition", "motion", "both", "assembly"}
    tables : sequence of Table
    records : sequence of dict
        One a run.
    shown : dict of str to Path
        For each decoder the run that the figures show; all of one data set.
    data : Path
        Folder of that data set.

    Returns
    -------
    Path
        The page.
    """
    runs = [
        ShownRun.read(method, path, _record_of(path, records), data)
        for method, path in shown.items()
    ]
    ladder = any("rung" in record["data"] for record in records)
    # the rungs of a ladder differ in what a table shows better
    pictures = PICTURES[benchmark](runs) if runs and not ladder else []
    sweep = noise_sweep(benchmark, tables)
    pictures = [*([sweep] if sweep is not None else []), *pictures]
    if runs and not ladder:
        pictures += _map_pictures(runs[0])
    target = folder / FIGURES
    target.mkdir(exist_ok=True)
    for picture in pictures:
        with write_atomically(target / f"{picture.name}.png") as temporary:
            temporary.write_bytes(picture.png)
    lines = [f"# Benchmark: {benchmark}", "", *(table_markdown(table) for table in tables)]
    if ladder:
        lines.insert(2, ladder_markdown(records))
    if benchmark == "assembly":
        lines += [line for run in runs for line in _assembly_lines(run)]
    for picture in pictures:
        lines += [f"![{picture.name}]({FIGURES}/{picture.name}.png)", "", picture.caption, ""]
    page = folder / PAGE_FILE
    write_text(page, "\n".join(lines))
    return page


def _record_of(path: Path, records: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next(record for record in records if record["name"] == path.name)


def _map_pictures(run: ShownRun) -> list[Picture]:
    """The reconstructions and difference maps of the first parts, as the run's report has them."""
    pictures = []
    for part in range(1, min(run.parts.n_parts, MAPS_SHOWN) + 1):
        path = run.directory.root / "figures" / f"part_{part}_maps.png"
        if path.is_file():
            caption = (
                f"{run.title}, {part_title(part)}: maps of its states from two sides, the part "
                "coloured, and their difference (blue: only in the first, red: only in the second)."
            )
            pictures.append(Picture(f"maps_part_{part}", path.read_bytes(), caption, 1000))
    return pictures


def _assembly_lines(run: ShownRun) -> list[str]:
    """Tables of the parts and of the chains that they hold."""
    found = run.record["details"]["assembly"]
    molecule = {chain["chain"]: chain["molecule"] for chain in found["chains"]}
    lines = [
        f"**{run.title}: parts and the chains in them.** r: over the maps, of the part's density "
        "with the amplitude that the decoder gives it. AUC, accuracy: of a particle's amplitude "
        "for the part being there in its map. NMI: of the part's states with that.",
        "",
        "| part | Gaussians | chains | r | AUC | accuracy | NMI |",
        "|---|---|---|---|---|---|---|",
    ]
    for part in found["parts"]:
        numbers = [
            _two(part[key])
            for key in ("correlation", "presence_auc", "presence_accuracy", "states_information")
        ]
        chains = _chain_list([molecule[name] for name in part["chains"]])
        lines.append(f"| {part['part']} | {part['gaussians']} | {chains} | {' | '.join(numbers)} |")
    lines += [
        "",
        f"**{run.title}: chains.** Where most of each chain's atoms are, and over the maps the "
        "correlation of its density with its part's amplitude.",
        "",
        "| chain | molecule | part | share | density | spread | r |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {c['chain']} | {c['molecule']} | {part_title(c['part'])} | {100 * c['share']:.0f}% | "
        f"{c['density_mean']:.2f} | {c['density_spread']:.2f} | {_two(c['correlation'])} |"
        for c in found["chains"]
    ]
    return [*lines, ""]


def _chain_list(molecules: Sequence[str]) -> str:
    """Proteins by name, pieces of RNA counted."""
    counts = {name: list(molecules).count(name) for name in dict.fromkeys(molecules)}
    described = (name if count == 1 else f"{count} of {name}" for name, count in counts.items())
    return ", ".join(described) or "none wholly"


def _two(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
