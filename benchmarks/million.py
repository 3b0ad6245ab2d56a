"""What the verbs after the training need for a million particles: memory and processor time.

    python benchmarks/million.py SMALL PLACE -o benchmarks/results

`SMALL` is a run of few particles of 128 px; runs of many are made of it in `PLACE` one after the
other (`large_run.py`; about 10 GB for a million) and removed. Every verb is a process of its own.

Decoding a particle and fitting its image cost the same for each, and their memory is the
batch's: of a run of more than `--share` particles, so many are decoded and fitted, and for the
others the answers of these are taken again, a little changed. The time of the others is then
what the share took, for each particle; everything else is done for all, and all memory is
that of all particles.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlparse

import machine
import numpy as np
import psutil
from large_run import RESULTS, enlarge

from dashboard import started

VERBS = ("parts", "focus", "composition", "coordination", "report")
SIZES = (131_899, 1_000_000)
CHANGED = 1e-3
"""By how much the answers that stand for others differ from those that were worked out."""

GIB = 2**20  # of KiB


class StandIn:
    """A method whose first answers are kept, and given again once so many particles are done."""

    def __init__(self, owner: type, name: str, share: int) -> None:
        self.share, self.kept = share, {}
        self.done = self.others = self.particles = 0
        self.seconds = self.others_seconds = 0.0
        self.random = np.random.default_rng(0)
        method = getattr(owner, name)

        def standing_in(own, rows=None, *more, **named):
            everyone = np.arange(len(own.particles)) if rows is None else rows
            self.particles = max(self.particles, int(everyone.max(initial=-1)) + 1)
            return self(method, own, everyone, *more, **named)

        setattr(owner, name, standing_in)

    def __call__(self, method, own, rows, *more, **named):
        # null particles are decoded by the same method: nothing of the data stands in for them
        began, key = time.process_time(), (id(own), len(rows), told_apart(more, named))
        if self.done < self.share or key not in self.kept:
            answer = self.kept[key] = method(own, rows, *more, **named)
            self.done += len(rows)
            self.seconds += time.process_time() - began
            return answer
        answer = self.changed(self.kept[key], own, rows)
        self.others += len(rows)
        self.others_seconds += time.process_time() - began
        return answer

    def changed(self, kept, own, rows):
        """The kept answer times 1 and a little, another for each particle."""
        if isinstance(kept, tuple):
            return tuple(self.changed(one, own, rows) for one in kept)
        if is_dataclass(kept):
            numbers = [getattr(kept, field.name) for field in fields(kept)[1:]]
            others = [None if one is None else self.changed(one, own, rows) for one in numbers]
            return type(kept)(own.particles.names[rows], *others)
        shape = (len(kept), *[1] * (kept.ndim - 1))
        return kept * (1.0 + CHANGED * self.random.normal(size=shape)).astype(kept.dtype)

    def left_out(self) -> float:
        """Seconds that the others would have taken, less those that standing in for them took.

        What is decoded is kept for a second pass, so each of them counts once.
        """
        others = min(self.others, self.particles - self.done)
        return others * self.seconds / max(self.done, 1) - self.others_seconds


def told_apart(more: tuple[Any, ...], named: dict[str, Any]) -> str:
    """Other words of a call, as text: whole arrays, which `str` would shorten."""
    words = [*more, *sorted(named.items())]
    with np.printoptions(threshold=sys.maxsize):
        return hashlib.sha256(str(words).encode()).hexdigest()


def work(verb: str, run: Path, share: int, said: Path) -> None:
    """One verb in this process, with others standing in beyond the share."""
    from cryoparts.cli.main import main as cryoparts
    from cryoparts.inference.decode import TrainedDecoder
    from cryoparts.occupancy.image_amplitudes import PartsFit

    stands = [StandIn(TrainedDecoder, "_decoded", share), StandIn(PartsFit, "solve", share)]
    cryoparts([verb, str(run), "--processes", "1"])  # others would not let these stand in
    # decoding within a fit is in the fit's time
    counted = stands[1:] if stands[1].done else stands[:1]
    said.write_text(json.dumps({"left_out": sum(one.left_out() for one in counted)}))


def measured(verb: str, run: Path, share: int) -> dict[str, Any]:
    """Peak memory (GiB) and processor time (s) of a verb, and the seconds that were left out."""
    said = run.parent / f"{run.name}.{verb}.json"
    said.unlink(missing_ok=True)
    command = [sys.executable, __file__, str(run), str(said), "--verb", verb, "--share", str(share)]
    with (run.parent / f"{run.name}.{verb}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{verb} ended with {status}: {log.name}")
    own = used.ru_utime + used.ru_stime
    left_out = json.loads(said.read_text())["left_out"]
    row = {"verb": verb, "peak_gib": used.ru_maxrss / GIB, "cpu_seconds": own,
           "left_out_seconds": max(left_out, 0.0)}  # fmt: skip
    print(row, flush=True)
    return row


def dashboard(run: Path) -> dict[str, Any]:
    """The same of the dashboard's server: its start, what its page shows first, a selection."""
    process, address, _ = started(run)
    try:
        cookies = urllib.request.HTTPCookieProcessor()
        browser = urllib.request.build_opener(cookies)
        browser.open(address).read()
        page = browser.open(f"http://{urlparse(address).netloc}/").url
        content = json.load(browser.open(f"{page}content"))
        browser.open(f"{page}verdict").read()
        view, first = content["views"][0], content["parts"][1]["part"]
        for column in (view["x"], view["y"], view["colour"]):
            browser.open(f"{page}column?{urlencode({'name': column})}").read()
        condition = json.dumps({"condition": f"presence:part_{first} > 0.5"}).encode()
        origin = {"Origin": f"http://{urlparse(address).netloc}"}
        browser.open(urllib.request.Request(f"{page}choose", condition, origin)).read()
        used = psutil.Process(process.pid).cpu_times()
        status = Path(f"/proc/{process.pid}/status").read_text()
    finally:
        process.terminate()
        process.wait()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    row = {"verb": "dashboard", "peak_gib": peak / GIB, "cpu_seconds": used.user + used.system,
           "left_out_seconds": 0.0}  # fmt: skip
    print(row, flush=True)
    return row


def write(folder: Path, found: dict[str, Any]) -> None:
    """million.json, and million.md for people."""
    on, sizes = found["machine"], found["sizes"]
    head = " | ".join(f"{size['particles']:,}: GiB | processor s" for size in sizes)
    rows = []
    for cells in zip(*(size["verbs"] for size in sizes), strict=True):
        numbers = " | ".join(f"{c['peak_gib']:.2f} | {_seconds(c)}" for c in cells)
        rows.append(f"| {cells[0]['verb']} | {numbers} |")
    lines = [
        "# A million particles",
        "",
        f"`python benchmarks/million.py`: peak resident memory and processor time (one thread) of "
        f"the verbs after the training, {on['processor']}, {on['cores']} cores, {on['system']}, "
        f"Python {on['python']}. Working images of {found['box_size']} px, {found['gaussians']:,} "
        f"Gaussians, {found['parts']} parts, names of 90 characters; a small run repeated "
        "(`benchmarks/large_run.py`). ",
        "",
        f"| | {head} |",
        f"| --- |{' ---: | ---: |' * len(sizes)}",
        *rows,
        "",
        f"Times with ~ are extrapolated: {found['share']:,} particles were decoded and fitted, the "
        "others counted at the same seconds each (the first number is what was measured). Memory "
        "is that of all particles throughout. The dashboard: start, first page, a choice of "
        "particles.",
        "",
    ]
    (folder / "million.md").write_text("\n".join(lines), encoding="utf-8")
    (folder / "million.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def _seconds(cell: dict[str, Any]) -> str:
    own, left_out = cell["cpu_seconds"], cell["left_out_seconds"]
    return f"{own:,.0f}" if not left_out else f"{own:,.0f}, ~{own + left_out:,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("small", type=Path)
    parser.add_argument("place", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--particles", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--share", type=int, default=4_000)
    parser.add_argument("--verb", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.verb:
        work(asked.verb, asked.small, asked.share, asked.place)
        return
    from cryoparts.run.run import Run

    few = Run.open(asked.small)
    sizes = []
    for count in asked.particles:
        run = asked.place / f"of_{count}"
        enlarge(asked.small, run, count, RESULTS)
        verbs = [measured(verb, run, asked.share) for verb in VERBS]
        sizes.append({"particles": count, "verbs": [*verbs, dashboard(run)]})
        shutil.rmtree(run)
    write(asked.output, {
        "machine": machine.description(), "box_size": few.particles.box_size,
        "gaussians": len(few.model), "parts": few.parts.n_parts, "share": asked.share,
        "sizes": sizes,
    })  # fmt: skip


if __name__ == "__main__":
    main()
