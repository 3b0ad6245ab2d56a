"""Names with ../, script, quotes, 300 characters or Chinese: text, wherever they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cryoparts.cli.main import main
from cryoparts.errors import InputError
from cryoparts.particle_files.read_particles import read_particles
from cryoparts.parts.part_labels import require_name
from cryoparts.run.run import Run
from cryoparts.selection.selection import read_names, require_selection_name
from small_runs import small_arguments, small_data

SCRIPT = "<script>document.title='hit'"
STACKS = {
    "above": "../up/../up/p.mrcs",
    "script": f"{SCRIPT}</script>.mrcs",
    "quotes": 'it\'s "so" & `such`.mrcs',
    "long": "/".join("n" * 99 for _ in range(3)) + ".mrcs",
    "chinese": "粒子/选择 一.mrcs",
    "template": "{{ 7 * 7 }} ${7 * 7} %s.mrcs",
}
CONDITION = "half == 1"


def data_of(folder: Path, stack: str) -> tuple[Path, list[str]]:
    """A particle file in a folder of its own whose stack is called so; its particles' names."""
    made = small_data(folder / "made", count=24)
    place = folder / "in"
    (place / stack).parent.resolve().mkdir(parents=True, exist_ok=True)
    (folder / "up").mkdir(exist_ok=True)
    place.mkdir(exist_ok=True)
    made.with_suffix(".mrcs").rename(place / stack)
    quote = "" if not re.search(r"\s", stack) else ("'" if '"' in stack else '"')
    star = place / "p.star"
    text = made.read_text()
    names = re.findall(r"\d{6}@p\.mrcs", text)
    for name in names:
        text = text.replace(name, f"{quote}{name[:7]}{stack}{quote}")
    star.write_text(text, encoding="utf-8")
    (place / "model.npz").write_bytes((folder / "made" / "model.npz").read_bytes())
    return star, [name[:7] + stack for name in names]


def outside(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "run" not in path.relative_to(folder).parts}


@pytest.mark.parametrize("kind", STACKS)
def test_names_of_stacks_survive_a_whole_run_and_lead_nowhere(tmp_path, kind):
    star, names = data_of(tmp_path, STACKS[kind])
    before = outside(tmp_path)
    folder = tmp_path / "run"
    main(["train", *small_arguments(star, star.parent), "-o", str(folder)])
    main(["report", str(folder)])
    main(["select", str(folder), "some", "--where", CONDITION])
    assert outside(tmp_path) == before
    assert Run.open(folder).particles.names.tolist() == names
    chosen = read_names(folder / "selections" / "some.csv")
    assert chosen == names[::2]
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert SCRIPT not in html
    exported = read_particles(folder / "selections" / "some.star", datadir=star.parent)
    assert exported.names.tolist() == names[::2]


@pytest.mark.parametrize("name", [f"{SCRIPT}", 'it\'s "so"', "粒子 一", "n" * 200, "-o", "a;b&c"])
def test_names_of_particle_file_and_run_folder(tmp_path, name):
    star = small_data(tmp_path / "data", count=24)
    odd = star.rename(star.with_name(f"{name}.star"))
    folder = tmp_path / name
    main(["train", *small_arguments(odd, odd.parent), "-o", str(folder)])
    main(["report", str(folder)])
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["data", name])
    html = (folder / "report.html").read_text(encoding="utf-8")
    assert SCRIPT not in html


@pytest.mark.parametrize("name", ["../out", "a/b", "<script>", 'a"b', "选择", "x" * 300, "", "."])
def test_parts_and_selections_have_plain_names(name):
    with pytest.raises(InputError):
        require_selection_name(name)
    with pytest.raises(InputError):
        require_name(name, ())


def test_a_selection_that_is_a_path_is_read_where_it_is_and_written_within_the_run(tmp_path):
    """`reconstruct --selection FILE` calls its folder by the file's name."""
    star = small_data(tmp_path / "data", count=24)
    folder = tmp_path / "run"
    main(["train", *small_arguments(star, star.parent), "-o", str(folder)])
    up = tmp_path / "up"
    up.mkdir()
    names = Run.open(folder).particles.names
    odd = up / f"..{SCRIPT} 选择.csv"
    odd.write_text("name\n" + "\n".join(names[:12]) + "\n", encoding="utf-8")
    before = outside(tmp_path)
    main(["reconstruct", str(folder), "--selection", str(odd)])
    assert outside(tmp_path) == before
    made = [path for path in (folder / "reconstruction").iterdir() if path.is_dir()]
    assert len(made) == 1
    assert (made[0] / "selected.mrc").is_file()
