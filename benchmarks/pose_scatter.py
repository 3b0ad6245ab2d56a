"""What given poses scatter, exact ones and wrong ones: it decides whether they are refined.

    python benchmarks/pose_scatter.py DATA PLACE -o benchmarks/results [CASE ...]

`DATA` holds structures/. Every case is simulated into `PLACE` and trained, by default options,
until poses have been asked for twice (epochs 2 and 4); nothing is refined between. Scatters are in
errors of one image, over all directions and along the molecule's axis where they are least.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import machine

HERE = Path(__file__).parent
WRONG = "--pose-error-degrees 2 --shift-error 1.5"
ALL = f"{WRONG} --junk 0.15 --lost-poses 0.05 --scale-spread 0.3 --consensus"
COMPOSITION = "composition ribosome_50s.cif --n-particles 4000 --n-segments 9"
BEND = "bend transporter_fab.cif --n-particles 3200 --box-size 96 --pixel-size 3 --rmsd 5"
REGIONS = f"--regions-file {HERE / 'transporter_regions.csv'}"
MOTION = f"motion transporter_fab.cif --n-particles 3200 --box-size 96 --pixel-size 2.6 {REGIONS}"
BOTH = "both ribosome_50s.cif --n-particles 4000"
CASES = {
    "exact: bend": BEND,
    "exact: motion": MOTION,
    "exact: moves and vanishes": BOTH,
    "exact: composition, map": f"{COMPOSITION} --consensus",
    "wrong: composition, all nuisances": f"{COMPOSITION} {ALL}",
    "wrong: composition, SNR 0.05": f"{COMPOSITION} --snr 0.05 {WRONG}",
    "wrong: bend": f"{BEND} {WRONG}",
}
ROUNDS = 2


def ask(words: list[str], said: Path) -> None:
    """The program in this process, which ends when poses were asked for often enough."""
    from cryoparts.cli.main import main as cryoparts
    from cryoparts.refinement import pose_spread
    from cryoparts.training import pose_rounds

    rounds: list[dict[str, Any]] = []

    def learned(refinement, latent, rows):
        loose = replace(refinement, pose_spread=pose_spread.LOOSE, latent_held=True)
        kinds = {"as encoded": loose, "together": replace(loose, latent_held=False)}
        rounds.append({
            kind: [asdict(one) for one in pose_spread._measured(problem, latent, rows)]
            for kind, problem in kinds.items()
        })  # fmt: skip
        if len(rounds) == ROUNDS:
            said.write_text(json.dumps(rounds))
            os._exit(0)

    pose_rounds.learned_spread = learned
    cryoparts(words)


def measured(case: str, data: Path, place: Path) -> list[dict[str, Any]]:
    """Turns (radians), then shifts (Å), of each round."""
    verb, structure, *options = CASES[case].split()
    made = place / "_".join(case.replace(":", "").replace(",", "").split())
    run, said = made.with_suffix(".run"), made.with_suffix(".json")
    program = [sys.executable, "-m", "cryoparts"]
    if not made.exists():
        path = data / "structures" / structure
        subprocess.run([*program, "simulate", verb, path, "-o", made, *options, "-q"], check=True)
    model = made / ("consensus.mrc" if "--consensus" in options else "model.cif")
    words = ["run", made / "particles.star", "--model", model, "-o", run, "--seed", "1", "-q"]
    shutil.rmtree(run, ignore_errors=True)
    subprocess.run([sys.executable, __file__, "--ask", said, *words], check=True)
    return json.loads(said.read_text())


def table(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    """A row a case and kind: turns and shifts of both rounds, in errors, all and least."""
    head = "| case | latent vectors | turns: all, least | shifts: all, least |"
    lines = [head, "|---|---|---|---|"]
    for case, rounds in found.items():
        for kind in rounds[0]:
            cells = [
                "; ".join(
                    f"{one['deviation'] / one['told']:.2f}, {one['least'] / one['told']:.2f}"
                    for one in (of[kind][which] for of in rounds)
                )
                for which in (0, 1)
            ]
            lines.append(f"| {case} | {kind} | {cells[0]} | {cells[1]} |")
    return lines


def main() -> None:
    if sys.argv[1:2] == ["--ask"]:
        ask(sys.argv[3:], Path(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("place", type=Path)
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE")
    parser.add_argument("-o", "--output", type=Path, default=HERE / "results")
    asked = parser.parse_args()
    asked.place.mkdir(parents=True, exist_ok=True)
    found = {}
    for case in asked.cases:
        found[case] = measured(case, asked.data, asked.place)
        print("\n".join(table({case: found[case]})), flush=True)
    content = {"machine": machine.description(), "rounds": found}
    (asked.output / "pose_scatter.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
