"""The report: one page that opens anywhere, and every figure as PNG."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup

from cryoparts.browser.scripts import MOLECULES, SURFACES, inline_script
from cryoparts.figures.latent import latent_space
from cryoparts.figures.parts import gaussian_plane, parts_on_model
from cryoparts.figures.run_results import read_run
from cryoparts.figures.training import learning_curve
from cryoparts.io.atomic import write_together
from cryoparts.io.names import rows_or_absent
from cryoparts.report.conclusion import SURE, conclude
from cryoparts.report.environment import render
from cryoparts.report.part_section import PartSection, part_sections
from cryoparts.report.particle_facts import read_particle_facts
from cryoparts.report.section_at_rest import AtRestSection, at_rest_section
from cryoparts.report.section_composition import CompositionSection, composition_section
from cryoparts.report.section_coordination import CoordinationSection, coordination_section
from cryoparts.report.section_junk import JunkSection, junk_section
from cryoparts.report.section_motion import MotionSection, motion_section
from cryoparts.report.section_trust import TrustSection, trust_section
from cryoparts.report.verdict import headline, judge
from cryoparts.report.wording import duration, flattened, percent, signed_percent
from cryoparts.validation.leakage import measure_leaks
from cryoparts.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.figures.pictures import Picture, Scene
    from cryoparts.figures.run_results import RunResults, Training
    from cryoparts.report.particle_facts import ParticleFacts
    from cryoparts.report.verdict import Verdict
    from cryoparts.validation.leakage import Leak

REPORT = "report.html"
OWN_FIGURES = re.compile(
    r"(learning_curve|latent_space|parts_on_model|gaussian_plane|motion_on_model|assembly_map|trust_\w+|"
    r"composition_\w+|coordination_\w+|junk_\w+|at_rest_\w+|part_\d+_\w+)\.(png|svg)"
)

FILES = (
    ("gaussians.cif", "the neutral model as pseudo-atoms, for ChimeraX"),
    ("gaussians.npz", "the same as arrays: positions (Å), amplitudes, widths (Å)"),
    ("latent.csv", "latent vector of each particle, by its name"),
    ("parts/gaussians.csv", "the part of each Gaussian"),
    ("parts/parts.csv", "one line a part"),
    ("parts/description.csv", "what each part is: size, kind of change, chains, stability"),
    ("parts/masks/part_1.mrc", "soft mask of part 1, for RELION and cryoSPARC"),
    ("motion/part_1.csv", "rigid motion of part 1 in each particle, by its name"),
    ("motion/motions.json", "mean axis, pivot and angles of each part"),
    ("trust/parts.csv", "what speaks for and against each part"),
    ("trust/leakage.csv", "what latent space and parts predict of the imaging"),
    ("composition/occupancies.csv", "occupancy of each part, with its interval"),
    ("composition/presence.csv", "probability that each particle has each part, by its name"),
    ("coordination/pairs.csv", "dependence of every two parts"),
    ("coordination/assembly.json", "which part is seen only with which other, and counts"),
    ("motion/arrows.bild", "the motions as arrows, for ChimeraX"),
    ("focus/part_1/particles.csv", "the state of each particle in part 1, by its name"),
    ("reconstruction/part_1/state_1.mrc", "map of the first state of part 1; half maps beside it"),
    ("reconstruction/part_1/peaks.csv", "where the states of part 1 differ: part, chain, residue"),
    ("reconstruction/at_rest/composite.mrc", "one map of all particles with every part at rest"),
    ("reconstruction/at_rest/regions.csv", "resolution of each region before and after"),
    ("reconstruction/at_rest/part_1.star", "particles in the poses of part 1, for RELION"),
    ("chimerax.cxc", "opens model and maps in ChimeraX, coloured"),
    ("metrics.jsonl", "one line an epoch"),
    ("evaluation.json", "comparison with the ground truth"),
    ("config.yaml", "every option, versions, checksums of the input"),
    ("run.log", "what was done, and when"),
)


@dataclass(frozen=True)
class Tile:
    """A number that is seen at once."""

    value: str
    name: str


@dataclass(frozen=True)
class Page:
    """Everything that the template shows."""

    name: str
    folder: str
    headline: str
    sure: str
    next: str
    verdict: Verdict
    sections: tuple[tuple[str, str], ...]
    tiles: tuple[Tile, ...]
    evaluation: list[tuple[str, str]]
    learning: Picture | None
    latent: Picture | None
    leaks: list[tuple[str, str]]
    has_parts: bool
    model_scene: Scene | None
    gaussian_plane: Picture | None
    trust: TrustSection
    motion: MotionSection
    composition: CompositionSection
    coordination: CoordinationSection
    junk: JunkSection
    at_rest: AtRestSection
    parts: list[PartSection]
    particles: list[tuple[str, str]]
    command: str | None
    files: list[tuple[str, str]]
    chimerax: str
    options: list[tuple[str, str]]
    viewer: Markup | None
    surfaces: Markup | None
    version: str
    date: str

    @property
    def pictures(self) -> list[Picture]:
        """Every figure of the page."""
        own = [self.learning, self.latent, self.gaussian_plane]
        if self.model_scene is not None:
            own.append(self.model_scene.poster)
        for section in (
            self.trust,
            self.motion,
            self.composition,
            self.coordination,
            self.junk,
            self.at_rest,
        ):
            own.extend(section.pictures)
        own.extend(picture for part in self.parts for picture in part.pictures)
        return [picture for picture in own if picture is not None]


def write_report(run: Path) -> Path:
    """Write ``report.html`` and ``figures/*.png`` into a run folder.

    Steps that have not been run are left out, with the command that runs them.

    Parameters
    ----------
    run : Path
        The run folder.

    Returns
    -------
    Path
        The page.

    Raises
    ------
    InputError
        If `run` is not a run folder, or a file in it cannot be read.
    """
    page = _compose(read_run(run))
    html = render("report.html.j2", page=page)
    files = {f"{picture.name}.png": picture.png for picture in page.pictures}
    files |= {f"{one.name}.svg": one.svg.encode() for one in page.pictures if one.svg}
    own = [path.name for path in run.glob("figures/*") if OWN_FIGURES.fullmatch(path.name)]
    with write_together(run, last=REPORT, replaces=[f"figures/{name}" for name in own]) as new:
        (new / "figures").mkdir()
        for name, content in files.items():
            (new / "figures" / name).write_bytes(content)
        (new / REPORT).write_text(html, encoding="utf-8")
    return run / REPORT


def _compose(results: RunResults) -> Page:
    facts = read_particle_facts(results.folder / "particles")
    leaks = _leaks(results, facts)
    count = facts.image_count if facts else len(results.latent.z) if results.latent else None
    sections = part_sections(results)
    trusted = trust_section(results.folder)
    verdict = trusted.added_to(judge(results, count, leaks))
    motion, composition = motion_section(results), composition_section(results.folder)
    coordination, junk = coordination_section(results.folder), junk_section(results.folder)
    at_rest = at_rest_section(results.folder)
    scene = parts_on_model(results.model, results.parts, motion.contents) if results.model else None
    drawn = scene is not None or any(section.scene for section in sections)
    concluded = conclude(results.folder, results)
    folder = results.folder.resolve()
    return Page(
        name=folder.name,
        folder=str(results.folder),
        headline=trusted.headline or headline(results, verdict),
        sure=_sure(verdict),
        next=concluded.next,
        verdict=verdict,
        sections=_sections(
            trusted,
            motion,
            composition,
            coordination,
            junk,
            at_rest,
            searched=results.parts is not None,
        ),
        tiles=_tiles(results, count, len(facts) if facts else count, junk),
        evaluation=_evaluation_rows(results),
        learning=learning_curve(results.training) if results.training else None,
        latent=latent_space(results.latent, results.states) if results.latent else None,
        leaks=[(leak.quantity, percent(leak.explained)) for leak in leaks],
        has_parts=results.parts is not None,
        model_scene=scene,
        gaussian_plane=gaussian_plane(results.parts) if results.parts is not None else None,
        trust=trusted,
        motion=motion,
        composition=composition,
        coordination=coordination,
        junk=junk,
        at_rest=at_rest,
        parts=sections,
        particles=facts.rows() if facts else [],
        command=results.command,
        files=[(name, what) for name, what in FILES if (results.folder / name).exists()],
        chimerax=_chimerax(results),
        options=flattened(results.config),
        viewer=Markup(inline_script(MOLECULES)) if drawn else None,
        surfaces=Markup(inline_script(SURFACES)) if drawn else None,
        version=__version__,
        date=datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def _sure(verdict: Verdict) -> str:
    """How sure the result is, and why, before the reasons."""
    why = {"none": "Why not:", "caution": "What is doubtful, and what speaks for it:"}
    return f"How sure: {SURE[verdict.trust]}. {why.get(verdict.trust, verdict.title)}"


def _sections(
    trust: TrustSection,
    motion: MotionSection,
    composition: CompositionSection,
    coordination: CoordinationSection,
    junk: JunkSection,
    at_rest: AtRestSection,
    *,
    searched: bool,
) -> tuple[tuple[str, str], ...]:
    """(anchor, title) of what the page has, in its order."""
    optional = (
        ("trust", "Belief", trust.html),
        ("motion", "Motions", motion.html),
        ("composition", "Composition", composition.html),
        ("coordination", "Coordination", coordination.html),
        ("junk", "Junk", junk.html),
        ("at-rest", "At rest", at_rest.html),
    )
    return (
        ("summary", "Summary"),
        ("found", "Found"),
        *((anchor, title) for anchor, title, html in optional if html),
        *((("parts", "Search"),) if searched else ()),
        ("latent", "Latent space"),
        ("learning", "Learning"),
        ("data", "Data"),
    )


def _leaks(results: RunResults, facts: ParticleFacts | None) -> list[Leak]:
    if results.latent is None or facts is None or len(facts) != len(results.latent.z):
        return []
    order = rows_or_absent(facts.names, results.latent.names)
    if (order < 0).any():
        return []
    poses, ctf = facts.poses.take(order), facts.ctf.take(order)
    return measure_leaks(results.latent.z, poses, ctf, image=facts.image[order])


def _tiles(
    results: RunResults, images: int | None, rows: int | None, junk: JunkSection
) -> tuple[Tile, ...]:
    tiles = []
    if images is not None and rows is not None:
        tiles.append(
            Tile(f"{rows:,}", "particles" if rows == images else f"rows of {images:,} images")
        )
    if junk.junk is not None:
        tiles.append(Tile(f"{junk.junk:,} ({percent(junk.share)})", "of them junk"))
    if results.model is not None:
        tiles.append(Tile(f"{len(results.model):,}", "Gaussians in the model"))
    if results.parts is not None:
        tiles.append(Tile(str(results.parts.n_parts), "parts that change"))
    if results.training is not None:
        tiles.extend(_training_tiles(results.training))
    return tuple(tiles)


def _training_tiles(training: Training) -> list[Tile]:
    tiles = []
    row, still = training.best_row, training.unchanging_frc
    if row is not None and still:
        best = float(training.held_out_frc[row])
        tiles.append(
            Tile(
                signed_percent((best - still) / abs(still)),
                f"FRC over the {training.unchanging_name}, held-out particles",
            )
        )
    learned = training.epoch > 0
    seconds = training.seconds[learned]
    if learned.any() and (seconds > 0).any():
        total = float(seconds[seconds > 0].sum())
        tiles.append(Tile(duration(total), f"training, {training.learned_epochs} epochs"))
    return tiles


def _chimerax(results: RunResults) -> str:
    lines = (
        [f"open {results.folder / 'chimerax.cxc'}"]
        if (results.folder / "chimerax.cxc").exists()
        else []
    )
    if lines:
        lines.append("")
    cif = results.folder / "gaussians.cif"
    lines += [f"open {cif}", "style sphere; color byattribute bfactor"]
    return "\n".join(lines)


def _evaluation_rows(results: RunResults) -> list[tuple[str, str]]:
    """The main numbers of evaluation.json, or all of them where it names no main ones."""
    if not results.evaluation:
        return []
    return flattened(results.evaluation.get("headline", results.evaluation))
