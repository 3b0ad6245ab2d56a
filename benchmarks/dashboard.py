"""How long a person waits for the dashboard of a large run, and what its server needs.

    python benchmarks/large_run.py SMALL LARGE --particles 131899
    python benchmarks/dashboard.py LARGE -o benchmarks/results

Headless Chromium draws with WebGL in software: a graphics card is faster. Times are from the
click to the finished picture (the graphics are waited for), and the processor's time of the
server in it; both, because the machine may be busy with other things.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import machine
import psutil
from playwright.sync_api import sync_playwright

SOFTWARE = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)

DRAWN = """() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
  for (const canvas of document.querySelectorAll('#scatter canvas, #model canvas')) {
    const gl = canvas.getContext('webgl2');
    if (gl) gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  }
  done();
})))"""
"""Resolves when what was asked for is drawn: reading a pixel waits for the graphics."""

TURN = """async (n) => {
  const scatter = document.body.scatter, times = [];
  for (let i = 0; i < n; i++) {
    const start = performance.now();
    scatter.move(8, 3);
    await new Promise((done) => requestAnimationFrame(() => { requestAnimationFrame(done); }));
    scatter.gl.readPixels(0, 0, 1, 1, scatter.gl.RGBA, scatter.gl.UNSIGNED_BYTE, new Uint8Array(4));
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[n >> 1] / 1000;
}"""
"""Median seconds from one picture to the next while the points move."""


class Watch:
    """Wall seconds of steps, and processor seconds of the server in each."""

    def __init__(self, server: psutil.Process) -> None:
        self.server, self.rows = server, []

    def measure(self, what: str, action) -> None:
        before, start = self._cpu(), time.perf_counter()
        own = action()
        wall = own if isinstance(own, float) else time.perf_counter() - start
        self.rows.append(
            {"what": what, "seconds": wall, "server_cpu_seconds": self._cpu() - before}
        )
        print(
            f"{what}: {wall:.2f} s, server {self.rows[-1]['server_cpu_seconds']:.2f} s", flush=True
        )

    def _cpu(self) -> float:
        used = self.server.cpu_times()
        return used.user + used.system


def started(run: Path):
    """The dashboard's process, its address, and seconds until it was printed."""
    start = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "cryoparts",
        "dashboard",
        str(run),
        "--port",
        "0",
        "--no-open-browser",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    line = process.stdout.readline()
    address = next(word for word in line.split() if word.startswith("http"))
    return process, address, time.perf_counter() - start


def look(page, address: str, watch: Watch) -> None:
    """Everything that is timed, in the order of a person's work."""
    drawn = lambda: page.evaluate(DRAWN)  # noqa: E731

    def load():
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        drawn()

    def select(which, value):
        page.select_option(which, value)
        page.wait_for_function("() => document.getElementById('status').textContent === ''")
        drawn()

    def lasso():
        box = page.locator("#scatter").bounding_box()
        at = lambda x, y: (box["x"] + x * box["width"], box["y"] + y * box["height"])  # noqa: E731
        page.mouse.move(*at(0.3, 0.3))
        page.mouse.down()
        for place in ((0.6, 0.25), (0.75, 0.5), (0.6, 0.75), (0.35, 0.7)):
            page.mouse.move(*at(*place), steps=6)
        start = time.perf_counter()
        page.mouse.up()
        page.wait_for_function(
            "() => /particles chosen/.test(document.getElementById('count').textContent)"
        )
        drawn()
        return time.perf_counter() - start

    def summary():
        page.wait_for_selector("#averages li")
        page.wait_for_selector("#gallery li")
        page.wait_for_function("() => document.getElementById('summary-status').textContent === ''")

    def particle(row):
        page.fill("#row", str(row))
        page.press("#row", "Enter")
        page.wait_for_function(
            f"() => /particle {row:,}$/.test(document.getElementById('model-said').textContent)"
        )
        drawn()

    def curve():
        page.click("#parts li:nth-child(2) button")
        page.wait_for_function("() => !document.getElementById('along').disabled")
        drawn()

    def slide(place):
        page.fill("#along", str(place))
        page.wait_for_function(
            f"() => document.getElementById('model').dataset.surface?.endsWith(':{place}')"
        )
        drawn()

    watch.measure("first page, drawn", load)
    watch.measure("colour by the defocus", lambda: select("#colour", "defocus"))
    watch.measure("another two columns", lambda: select("#view", "2"))
    watch.measure("lasso, from release to the chosen points", lasso)
    watch.measure("... its populations, averages and images", summary)
    watch.measure("move the plane, a picture", lambda: page.evaluate(TURN, 20))
    watch.measure("three columns, in space", lambda: select("#view", "1"))
    watch.measure("turn the space, a picture", lambda: page.evaluate(TURN, 20))
    watch.measure("first particle and its model", lambda: particle(100_001))
    watch.measure("another particle and its model", lambda: particle(77))
    watch.measure("a part's curve, decoded", curve)
    page.select_option("#map", "model")
    watch.measure("first place of the slider, model and map", lambda: slide(2))
    watch.measure("another place of the slider", lambda: slide(12))
    watch.measure("page loaded again, drawn", load)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    asked = parser.parse_args()
    process, address, until = started(asked.run)
    try:
        server = psutil.Process(process.pid)
        used = server.cpu_times()
        watch = Watch(server)
        watch.rows.append(
            {
                "what": "start, to the printed address",
                "seconds": until,
                "server_cpu_seconds": used.user + used.system,
            }
        )
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=asked.chromium, args=SOFTWARE)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.set_default_timeout(120_000)
            look(page, address, watch)
            particles = page.evaluate("() => document.body.scatter.count")
            heap = page.evaluate("() => performance.memory.usedJSHeapSize")
            browser.close()
        memory = Path(f"/proc/{process.pid}/status").read_text()
        peak = next(
            int(line.split()[1]) for line in memory.splitlines() if line.startswith("VmHWM")
        )
        load = psutil.getloadavg()[0]
    finally:
        process.terminate()
        process.wait()
    write(asked.output, {
        "machine": machine.description(), "load_average": load, "particles": particles,
        "server_peak_mib": peak / 1024, "page_heap_mib": heap / 2**20, "steps": watch.rows,
    })  # fmt: skip


def write(folder: Path, found: dict) -> None:
    """dashboard.json, and dashboard.md for people."""
    on = found["machine"]
    rows = [
        f"| {row['what']} | {row['seconds']:.2f} | {row['server_cpu_seconds']:.2f} |"
        for row in found["steps"]
    ]
    lines = [
        "# Dashboard",
        "",
        f"`python benchmarks/dashboard.py`: {found['particles']:,} particles, {on['processor']}, "
        f"{on['cores']} cores, {on['system']}, Python {on['python']}. Headless Chromium, "
        "1440 x 900, WebGL in software (SwiftShader): a graphics card draws faster. The machine "
        f"had other work (load {found['load_average']:.1f}), so the seconds are "
        "those of a busy one; the server's processor time beside them does not depend on that. "
        "The run is a small one repeated (`benchmarks/large_run.py`).",
        "",
        "| | seconds | of the server's processor time |",
        "| --- | ---: | ---: |",
        *rows,
        "",
        f"The server had {found['server_peak_mib']:.0f} MiB resident at most, with the networks "
        f"open; the page {found['page_heap_mib']:.0f} MiB of JavaScript objects.",
        "",
    ]
    (folder / "dashboard.md").write_text("\n".join(lines), encoding="utf-8")
    (folder / "dashboard.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
