"""What was found, in plain words, and how much of it can be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from cryoparts.io.run_directory import RunDirectory
from cryoparts.palette import part_colour, part_title
from cryoparts.parts.part_description import read_description
from cryoparts.parts.part_kinds import AMPLITUDE_CHANGES, DISPLACEMENT_CHANGES_ANGSTROM
from cryoparts.report.wording import amount, counted, listed, percent, signed_percent
from cryoparts.states.focused_particles import PRESENCE

if TYPE_CHECKING:
    from cryoparts.figures.part_states import PartStates
    from cryoparts.figures.run_results import RunResults, Training
    from cryoparts.validation.leakage import Leak

TOO_FEW_PARTICLES = 200
FEW_PARTICLES = 1000
FEW_IN_STATE = 100
SMALL_GAIN = 0.01
"""Of the FRC of a model that does not change: a rise below it is hardly one."""

OVERFIT_RATIO = 3.0
"""Gain of the FRC on the training particles over that on held-out ones, beyond which the page
warns of overfitting."""

PLURAL = {
    "comes and goes": "come and go",
    "moves": "move",
    "comes and goes, and moves": "come and go, and move",
    "changes slightly": "change slightly",
}
"""What several parts do, by what one does."""

Trust = Literal["none", "caution", "good"]


@dataclass(frozen=True)
class Verdict:
    """How far the result can be believed, and why."""

    trust: Trust
    title: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """One part in words."""

    label: int
    title: str
    colour: str
    mass_share: float
    gaussians: int
    kind: str
    numbers: str
    states: str

    @property
    def change(self) -> str:
        """What it does, with the numbers that say so."""
        return f"{self.kind} ({self.numbers})" if self.numbers else self.kind


def judge(results: RunResults, particles: int | None, leaks: list[Leak]) -> Verdict:
    """Weigh the number of particles, the held-out FRC and what z predicts."""
    fatal: list[str] = []
    warnings: list[str] = []
    if particles is not None and particles < TOO_FEW_PARTICLES:
        fatal.append(
            f"There are only {counted(particles, 'particle')}. Differences between particles are "
            f"far weaker than their noise; below {TOO_FEW_PARTICLES} nothing can be told apart, "
            "and a few thousand are needed as a rule."
        )
    elif particles is not None and particles < FEW_PARTICLES:
        warnings.append(
            f"{particles:,} particles are few: take the states as a hint, and their maps as coarse."
        )
    if results.training is None or not results.training.learned_epochs:
        fatal.append("Nothing has been trained yet: `cryoparts train` does that.")
    else:
        failed, doubtful = _judge_training(results.training)
        fatal.extend(failed)
        warnings.extend(doubtful)
    warnings.extend(_leak_warning(leaks))
    notes = _small_states(results.states)
    if fatal:
        return Verdict("none", "Why not", (*fatal, *warnings, *notes))
    said = frc_line(results.training)
    if not any(said in warning for warning in warnings):
        notes.insert(0, said)
    if warnings:
        return Verdict("caution", "Read the result with care.", (*warnings, *notes))
    return Verdict("good", "The model explains particles it has never seen.", tuple(notes))


UNCHANGING = {
    "mean model": "one unchanging molecule, the mean of all particles",
    "neutral model": "the neutral model, as it was before the training",
}
"""What stands against the trained model, in words."""


def frc_line(training: Training | None) -> str:
    """The held-out FRC of the best epoch against that of a model that does not change."""
    if training is None or training.best_row is None or training.unchanging_frc is None:
        return "The held-out FRC was not measured."
    best, still = float(training.held_out_frc[training.best_row]), training.unchanging_frc
    change = f" ({signed_percent((best - still) / abs(still))})" if still else ""
    return (
        f"Held-out FRC (particles never trained on) {best:.4f}, against {still:.4f} of "
        f"{UNCHANGING[training.unchanging_name]}{change}."
    )


def _judge_training(training: Training) -> tuple[list[str], list[str]]:
    still, row = training.unchanging_frc, training.best_row
    if still is None or row is None:
        return [], [
            "No particles were held out, so nothing shows whether the model has learned the "
            "molecule or the noise."
        ]
    gain = float(training.held_out_frc[row]) - still
    if gain <= 0:
        return [
            frc_line(training) + " On particles it has not seen, the trained model is no better "
            "than one that does not change: whatever parts and states follow are noise."
        ], []
    doubts = []
    if gain < SMALL_GAIN * abs(still):
        doubts.append(frc_line(training) + " That is hardly a rise.")
    start = training.train_frc[training.epoch == 0]
    train_gain = float(training.train_frc[row] - start[0]) if len(start) else np.nan
    if np.isfinite(train_gain) and train_gain > OVERFIT_RATIO * gain:
        doubts.append(
            f"The FRC of the training particles rose {train_gain / gain:.0f} times as much as that "
            "of the held-out ones: most of what was learned is their noise."
        )
    return [], doubts


def _leak_warning(leaks: list[Leak]) -> list[str]:
    told = [
        f"the {leak.quantity} ({percent(leak.explained)} of its variance)"
        for leak in leaks
        if leak.worrying
    ]
    if not told:
        return []
    return [
        f"The latent space predicts {listed(told)}: some of the differences between particles "
        "come from how they were seen, not from what they are."
    ]


def _small_states(states: dict[int, PartStates]) -> list[str]:
    small = [
        f"state {state} of part {label} ({int((part.focused.states == state).sum())})"
        for label, part in states.items()
        for state in part.states
        if (part.focused.states == state).sum() < FEW_IN_STATE
    ]
    if not small:
        return []
    shown = [*small[:4], *([f"{len(small) - 4} more"] if len(small) > 4 else [])]
    return [f"Fewer than {FEW_IN_STATE} particles are in {listed(shown)}: those maps say little."]


def headline(results: RunResults, verdict: Verdict) -> str:
    """One sentence: how many parts, and how much of the molecule they are."""
    if verdict.trust == "none":
        return "Nothing can be concluded from this run."
    if results.parts is None:
        return "The search for parts has not run yet."
    count = results.parts.n_parts
    if count == 0:
        return "No part changes that stands out from the noise."
    found = findings(results)
    share = percent(sum(finding.mass_share for finding in found))
    kinds = list(dict.fromkeys(finding.kind for finding in found))
    if count == 1:
        return f"One part {kinds[0]}: {share} of the molecule’s mass."
    doing = PLURAL[kinds[0]] if len(kinds) == 1 else "change"
    return f"{count} parts {doing}, together {share} of the molecule’s mass."


def findings(results: RunResults) -> list[Finding]:
    """One entry a part, largest first."""
    if results.parts is None or results.model is None:
        return []
    described = {
        row["part"]: row for row in read_description(RunDirectory(results.folder).parts_path)
    }
    amplitude = results.model.amplitudes.astype(np.float64)
    total = max(float(amplitude.sum()), 1e-30)
    found = []
    for label in range(1, results.parts.n_parts + 1):
        members = results.parts.members(label)
        found.append(
            Finding(
                label,
                _capital(part_title(label, results.parts.name(label))),
                part_colour(label),
                float(amplitude[members].sum()) / total,
                int(members.sum()),
                *_change(results, label, described),
                _states(results.states.get(label)),
            )
        )
    return found


def _capital(title: str) -> str:
    """A title with a large first letter; a user's name keeps its own."""
    return title[:1].upper() + title[1:]


FADING, MOVING = ("present/absent", "mixed"), ("mixed", "rotation", "translation", "deformation")
"""Kinds of change (`part_kinds`) of parts that come and go, and of those that move."""


def _change(
    results: RunResults, label: int, described: dict[str, dict[str, str]]
) -> tuple[str, str]:
    """What kind of change, and the numbers that say so; runs of earlier versions describe none."""
    if results.parts is None:
        return "", ""
    row = described.get(f"part_{label}")
    if row is not None and row["kind"]:
        amplitude, moved = float(row["amplitude_deviation"]), float(row["displacement_angstrom"])
        fades, moves = row["kind"] in FADING, row["kind"] in MOVING
    else:
        members = results.parts.members(label)
        amplitude = float(results.parts.amplitude_change[members].mean())
        moved = float(np.sqrt((results.parts.displacement_rms_angstrom[members] ** 2).mean()))
        fades, moves = amplitude >= AMPLITUDE_CHANGES, moved >= DISPLACEMENT_CHANGES_ANGSTROM
    if fades and moves:
        kind = "comes and goes, and moves"
    elif fades:
        kind = "comes and goes"
    else:
        kind = "moves" if moves else "changes slightly"
    numbers = [f"its amount by ± {percent(amplitude)}"] if fades else []
    numbers += [f"its place by {moved:.1f} Å r.m.s."] if moves else []
    return kind, ", ".join(numbers)


def _states(part: PartStates | None) -> str:
    if part is None or not part.states:
        return ""
    if len(part.states) == 1:
        return "one state: the particles form no separate groups"
    described = []
    for row in state_rows(part):
        resolution = f", map to {row.resolution}" if row.resolution != "–" else ""
        doing = f", {row.there}" if row.there else ""
        described.append(
            f"state {row.state}: {row.count} particles ({row.share}){doing}{resolution}"
        )
    return "; ".join(described)


ABSENT, WHOLE = 0.15, 0.85
"""Amounts below and above which a part is called absent and there."""


def _there(share: float) -> str:
    """In words, how much of a part a state has."""
    if share <= ABSENT:
        return "part absent"
    return "part there" if share >= WHOLE else f"{percent(share)} of the part there"


def _there_in(part: PartStates, state: int, mean: float) -> str:
    """The same of a state: by the images where these have told it, else by its mean amount."""
    if part.focused.order == PRESENCE:
        return "part absent" if state == part.focused.n_states else "part there"
    return _there(mean) if np.isfinite(mean) else ""


@dataclass(frozen=True)
class StateRow:
    """One line of a part's table of states, as text."""

    state: int
    count: str
    share: str
    amplitude: str
    displacement: str
    resolution: str
    there: str
    fraction: float
    shade: str


def state_rows(part: PartStates) -> list[StateRow]:
    """The table of a part's states."""
    rows = []
    for state, shade in part.shades.items():
        chosen = part.focused.states == state
        amplitude, moved = part.relative_amplitude, part.displacement_angstrom
        mean = np.nan if amplitude is None else float(np.nanmean(amplitude[chosen]))
        rows.append(
            StateRow(
                state,
                f"{int(chosen.sum()):,}",
                percent(float(chosen.mean())),
                amount(mean) if np.isfinite(mean) else "–",
                "–" if moved is None else f"{float(np.nanmean(moved[chosen])):.1f} Å",
                part.resolution_text(state),
                _there_in(part, state, mean),
                float(chosen.mean()),
                shade,
            )
        )
    return rows
