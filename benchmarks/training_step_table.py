"""The results of the training benchmarks as tables in markdown."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

PIECES = (
    "read", "encoder forward", "encoder backward", "decoder forward", "decoder backward",
    "projection forward", "projection backward", "loss forward", "loss backward", "optimiser",
)  # fmt: skip
"""Of a training step; "gradient input" is made once a run."""

GRADIENT_INPUT = "gradient input"

PUBLISHED_CPU_SECONDS = 3.1
"""A particle and step of the published program, on 2 cores: 2,048 Gaussians, 64 px."""


def markdown(record: dict[str, Any]) -> str:
    """Tables of whatever sections the record has."""
    parts = ["# Training step", ""]
    sections = {
        "steps": _steps, "instructions": _instructions, "definition": _definition,
        "epochs": _epochs, "memory": _memory,
    }  # fmt: skip
    for section, table in sections.items():
        if section in record:
            content = record[section]
            parts += [*_machine(content), "", *table(content["rows"]), ""]
    return "\n".join(parts)


def share_of_limit(piece: dict[str, Any], limits: dict[str, float]) -> tuple[float, str]:
    """Time that the machine's limits would allow over the time taken, and which limit it is.

    The limits are those of the same process: products of large matrices, in float32
    and bfloat16, and a large copy. A piece whose data stay in cache can exceed the last.
    """
    arithmetic = piece["operations_a_particle"] / limits["float32_operations_per_second"]
    arithmetic += piece["half_operations_a_particle"] / limits["bfloat16_operations_per_second"]
    traffic = piece["bytes_a_particle"] / limits["bytes_per_second"]
    taken = piece["milliseconds_a_particle"] / 1e3
    return max(arithmetic, traffic) / taken, "arithmetic" if arithmetic > traffic else "memory"


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def whole_step(row: dict[str, Any]) -> float:
    """Median milliseconds a particle of the program's own training steps."""
    return 1e3 * statistics.median(row["step_seconds"]) / row["batch"]


def cpu_of_step(row: dict[str, Any]) -> float:
    """Median CPU-milliseconds a particle of the program's own training steps."""
    return 1e3 * statistics.median(row["step_cpu_seconds"]) / row["batch"]


def _machine(content: dict[str, Any]) -> list[str]:
    machine = content["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    return [
        f"`{content['command']}`: {machine['processor']}, {machine['cores']} cores, "
        f"{machine['system']}, Python {machine['python']}, {versions}."
    ]


def _name(row: dict[str, Any]) -> list[object]:
    name = "paper preset" if row["preset"] == "paper" else row["decoder"]
    return [name, f"{row['gaussians']:,}", row["box"], row["batch"], row["threads"]]


def _label(row: dict[str, Any]) -> str:
    name, gaussians, box, batch, threads = _name(row)
    return f"{name}, {gaussians} Gaussians, {box} px, batch {batch}, threads {threads}"


SIZES = ["decoder", "Gaussians", "box, px", "batch", "threads"]


def _steps(rows: list[dict[str, Any]]) -> list[str]:
    done = [row for row in rows if "failed" not in row]
    lines = [
        "## Time, ms a particle",
        "",
        "Medians. *Whole step*: the program's own steps, one after the other, the next batch read "
        "meanwhile; *CPU*: of all its threads; the pieces: each alone. *Gradient input* is "
        "computed once a run. *Peak* is all that the process ever had resident, MiB.",
        "",
    ]
    header = [*SIZES, "whole step", "CPU", "peak", *PIECES, GRADIENT_INPUT]
    body = [
        [
            *_name(row),
            f"{whole_step(row):.2f}",
            f"{cpu_of_step(row):.2f}",
            f"{row['peak_memory_mib'] or float('nan'):.0f}",
            *(
                f"{row['pieces'][piece]['milliseconds_a_particle']:.3f}"
                for piece in (*PIECES, GRADIENT_INPUT)
            ),
        ]
        for row in done
    ]
    lines += [*table(header, body), "", *_ratios(done), "## Memory of each piece, MiB", ""]
    lines += ["What a piece needs beyond what was resident before it.", ""]
    names = (*PIECES, GRADIENT_INPUT)
    body = [
        [*_name(row), *(_mib(row["pieces"][name]["peak_memory_mib"]) for name in names)]
        for row in done
    ]
    lines += [*table([*SIZES, *names], body), ""]
    lines += ["## Work, and how near each piece comes to the machine's limits", ""]
    for row in done:
        lines += [*_work(row), ""]
    return [*lines, *_failures(rows)]


def _ratios(rows: list[dict[str, Any]]) -> list[str]:
    """What more Gaussians and larger boxes cost, decoder by decoder."""
    known = {tuple(_name(row)): whole_step(row) for row in rows}
    lines = [
        f"- {_label(row)}: {1e3 * PUBLISHED_CPU_SECONDS / cpu_of_step(row):.1f} times faster than "
        f"the {PUBLISHED_CPU_SECONDS} CPU-seconds a particle of the published program"
        for row in rows
        if (row["preset"], row["gaussians"], row["box"]) == ("paper", 2048, 64)
    ]
    for row in rows:
        for factor, usual in (("gaussians", 2048), ("box", 64)):
            base = known.get(tuple(_name({**row, factor: usual})))
            if base is not None and row[factor] > usual:
                unit = "Gaussians" if factor == "gaussians" else "px"
                times = whole_step(row) / base
                lines.append(f"- {_label(row)}: {times:.2f} times what {usual:,} {unit} cost")
    return [*lines, ""] if lines else []


def _work(row: dict[str, Any]) -> list[str]:
    limits = row["limits"]
    single, half, traffic = (
        limits[name] / 1e9
        for name in (
            "float32_operations_per_second",
            "bfloat16_operations_per_second",
            "bytes_per_second",
        )
    )
    lines = [
        f"**{_label(row)}**; limits: {single:.0f} GFLOP/s in float32, {half:.0f} in bfloat16, "
        f"{traffic:.1f} GB/s",
        "",
    ]
    body = []
    for name in (*PIECES, GRADIENT_INPUT):
        piece = row["pieces"][name]
        share, limit = share_of_limit(piece, limits)
        operations = piece["operations_a_particle"] + piece["half_operations_a_particle"]
        body.append(
            [
                name,
                f"{operations / 1e6:.2f}",
                f"{piece['bytes_a_particle'] / 1e6:.3f}",
                f"{piece['milliseconds_a_particle']:.3f}",
                f"{100 * share:.0f}% of {limit}",
            ]
        )
    return lines + table(["piece", "MFLOP", "MB", "ms", "share of the limit"], body)


def _instructions(rows: list[dict[str, Any]]) -> list[str]:
    """Both ways side by side, a piece a line."""
    done = [row for row in rows if "failed" not in row]
    lines = [
        "## Without AVX-512",
        "",
        "Processor time, ms a particle, of one thread: with all of the processor's instructions, "
        "and with numba, torch and oneDNN told to leave AVX-512 and bfloat16 out. Two "
        "processes take turns; medians, and of the turns' ratios the median (lowest to highest).",
        "",
    ]
    both = ("all", "without AVX-512")
    for row in done:
        lines += [f"**{_label(row)}**, {len(next(iter(_times(row, both[0]).values())))} turns", ""]
        lines += [_built(name, row["compiled_for"][name]) for name in both]
        body = []
        for piece, wide in _times(row, both[0]).items():
            narrow = _times(row, both[1])[piece]
            ratios = [b / a for a, b in zip(wide, narrow, strict=True)]
            middle = [statistics.median(times) for times in (wide, narrow)]
            spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            body.append([piece, *(f"{time:.3f}" for time in middle), spread])
        lines += ["", *table(["piece", *both, "times"], body), ""]
    return [*lines, *_failures(rows)]


def _built(name: str, found: dict[str, Any]) -> str:
    """What one way was compiled for and, where it was measured, how fast products are."""
    words = f"- {name}: vectors of {found['float_lanes']} float32, torch {found['torch']}"
    for kind in ("float32", "bfloat16") if "limits" in found else ():
        speed = found["limits"][f"{kind}_operations_per_second"] / 1e9
        words += f", products of matrices in {kind} {speed:.0f} GFLOP/s"
    return words


def _times(row: dict[str, Any], way: str) -> dict[str, list[float]]:
    times: dict[str, list[float]] = row["milliseconds_a_particle"][way]
    return times


def _definition(rows: list[dict[str, Any]]) -> list[str]:
    header = [
        "batch", "threads", "definition forward", "backward", "program forward", "backward",
        "times faster", "difference of values", "of gradients",
    ]  # fmt: skip
    body = []
    for row in (r for r in rows if "failed" not in r):
        times = [
            1e3 * statistics.median(row[program][f"{way}_cpu_seconds"]) / row["batch"]
            for program in ("definition", "program")
            for way in ("forward", "backward")
        ]
        body.append(
            [
                row["batch"], row["threads"], *(f"{x:.0f}" for x in times),
                f"{sum(times[:2]) / sum(times[2:]):.1f}",
                f"{row['value_error']:.1e}", f"{row['gradient_error']:.1e}",
            ]
        )  # fmt: skip
    lines = [
        "## The published decoder",
        "",
        "By its definition in plain torch (float32) and by the program, in turn, in one process: "
        "CPU-milliseconds a particle. Differences of the largest value and of the gradients' norm.",
        "",
    ]
    return [*lines, *table(header, body), *_failures(rows)]


def _epochs(rows: list[dict[str, Any]]) -> list[str]:
    header = [
        "decoder", "particles", "batch", "threads", "encoder input, s", "start, s",
        "steps, s an epoch", "evaluation and checkpoint, s an epoch", "20 such epochs, minutes",
        "peak, MiB",
    ]  # fmt: skip
    body = []
    for row in (r for r in rows if "failed" not in r):
        steps = statistics.median(row["steps_seconds"])
        rest = statistics.median(row["evaluation_and_checkpoint_seconds"])
        once = row["encoder_input_seconds"] + row["start_seconds"]
        body.append(
            [
                row["decoder"], f"{row['particles']:,}", row["batch"], row["threads"],
                f"{row['encoder_input_seconds']:.1f}", f"{row['start_seconds']:.1f}",
                f"{steps:.1f}", f"{rest:.1f}", f"{(once + 20 * (steps + rest)) / 60:.1f}",
                f"{row['peak_memory_mib'] or float('nan'):.0f}",
            ]
        )  # fmt: skip
    lines = [
        "## Whole epochs",
        "",
        *table(header, body),
        "",
        "Where the steps' time goes (each piece alone, of their sum):",
        "",
    ]
    body = []
    for row in (r for r in rows if "failed" not in r):
        times = [row["pieces"][piece]["milliseconds_a_particle"] for piece in PIECES]
        body.append([row["decoder"], *(f"{100 * t / sum(times):.0f}%" for t in times)])
    return [*lines, *table(["decoder", *PIECES], body), *_failures(rows)]


def _memory(rows: list[dict[str, Any]]) -> list[str]:
    header = [
        "particles", "box, px", "Gaussians", "batch", "steps", "peak of preparation, MiB",
        "peak, MiB", "of it anonymous, MiB", "preparation, s",
    ]  # fmt: skip
    body = [
        [
            f"{row['particles']:,}", row["box"], f"{row['gaussians']:,}", row["batch"],
            row["steps"],
            _mib(row["peak_memory_of_preparation_mib"]), _mib(row["peak_memory_mib"]),
            _mib(row["peak_anonymous_memory_mib"]), f"{row['prepare_seconds']:.1f}",
        ]
        for row in rows
        if "failed" not in row
    ]  # fmt: skip
    return ["## Memory of training", "", *table(header, body), *_failures(rows)]


def _mib(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _failures(rows: list[dict[str, Any]]) -> list[str]:
    failed = [[*_name(row), row["failed"]] for row in rows if "failed" in row]
    return ["", "Failed:", "", *table([*SIZES, "reason"], failed)] if failed else []
