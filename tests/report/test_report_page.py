"""The page: complete, offline, honest, and whole whatever steps have run."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from cryoparts.difference_maps.difference_map import DifferenceMap
from cryoparts.difference_maps.map_files import write_part_maps
from cryoparts.difference_maps.part_maps import GroupMap, PartMaps
from cryoparts.difference_maps.surroundings import Surroundings
from cryoparts.errors import InputError
from cryoparts.reconstruction.half_maps import Reconstruction
from cryoparts.reconstruction.phase_randomisation import FscCurves
from cryoparts.report.page import write_report
from enlarged_run import enlarge_run

LOADS = {"src", "href", "srcset", "data", "poster", "action"}


class Inspected(HTMLParser):
    """Addresses that the page loads, its anchors, its scenes and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.scenes: list[dict] = []
        self.tags: list[str] = []
        self.text = ""
        self._inside = ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        self.addresses += [value for name, value in attrs if name in LOADS]
        self.ids.add(given.get("id", ""))
        self._inside = "scene" if given.get("type") == "application/json" else tag

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if self._inside == "scene":
            self.scenes.append(json.loads(data))
        elif self._inside not in {"script", "style"}:
            self.text += data


def inspected(path) -> Inspected:
    page = Inspected()
    page.feed(path.read_text(encoding="utf-8"))
    return page


@pytest.fixture(scope="module")
def whole(whole_run):
    """The run in which every step has run, and its report."""
    return whole_run, write_report(whole_run.folder)


def test_the_page_loads_nothing_from_anywhere(whole):
    _, path = whole
    page = inspected(path)
    assert page.addresses
    outside = [a for a in page.addresses if not a.startswith(("data:", "#"))]
    assert outside == []
    style = re.search(r"<style>(.*?)</style>", path.read_text(), flags=re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style


def test_every_anchor_of_the_page_exists(whole):
    page = inspected(whole[1])
    wanted = {address[1:] for address in page.addresses if address.startswith("#")}
    assert {"summary", "found", "learning", "latent", "parts", "data", "part-1"} <= wanted
    assert "part-2" in wanted
    assert wanted <= page.ids


def test_the_viewer_is_inlined_exactly_once_and_only_where_it_is_needed(whole, fake_run):
    _, path = whole
    assert path.read_text().count("3Dmol-min.js.LICENSE") == 1
    assert path.read_text().count("root.Surfaces =") == 1
    assert path.stat().st_size < 15e6
    bare = fake_run("bare", steps=())
    (bare.folder / "gaussians.npz").unlink()
    assert "root.Surfaces =" not in write_report(bare.folder).read_text()


def test_the_page_does_not_grow_with_the_particles(tmp_path, fake_run):
    made = fake_run("small", parts=1)
    enlarge_run(made.folder, tmp_path / "large", 30_000)
    small, large = (write_report(path) for path in (made.folder, tmp_path / "large"))
    assert "30,000" in inspected(large).text
    assert large.stat().st_size < 1.2 * small.stat().st_size


def test_every_figure_is_also_a_readable_png_file(whole):
    made, path = whole
    figures = sorted((made.folder / "figures").iterdir())
    names = {figure.stem for figure in figures}
    assert {"learning_curve", "latent_space", "parts_on_model", "gaussian_plane"} <= names
    for part in (1, 2):
        for what in ("particles", "fsc", "maps", "slices"):
            assert f"part_{part}_{what}" in names
    for figure in (one for one in figures if one.suffix == ".png"):
        with Image.open(figure) as image:
            image.load()
            assert min(image.size) > 100
            assert len(set(image.convert("L").resize((64, 64)).tobytes())) > 3, "an empty picture"
    vectors = [figure.stem for figure in figures if figure.suffix == ".svg"]
    assert {"learning_curve", "gaussian_plane", "part_1_fsc"} <= set(vectors)
    assert path.read_text().count("<svg") == len(vectors)


def test_the_page_gives_parts_states_resolution_and_frc(whole):
    made, path = whole
    text = inspected(path).text
    assert "2 parts change, together" in text
    assert "How sure: well supported. The model explains particles it has never seen." in text
    for part, state in made.states.items():
        for number in (1, 2):
            assert f"state {number}: {int((state == number).sum()):,} particles" in text, part
    assert "part there, map to" in text
    assert "part absent, map to" in text
    assert re.search(r"never trained on\) 0\.1\d+, against 0\.1210 of the neutral model", text)
    assert re.search(r"map to \d+\.\d Å", text)
    assert "0.9573" in text  # of evaluation.json
    assert "76 s" in text  # five epochs of 15.2 s


def test_an_amount_is_never_less_than_nothing(whole):
    text = inspected(whole[1]).text
    assert not re.search(r"[-−]\d[\d.]*% of", text)
    assert "neutral amplitude" not in text


def test_people_read_part_1_and_files_part_underscore_1(whole):
    """part_1 stands in paths and options alone."""
    text = inspected(whole[1]).text
    for found in re.finditer(r"\bpart_\d", text):
        before = text[max(0, found.start() - 12) : found.start()]
        assert before.endswith(("/", "--part ", "--parts ")), text[found.start() - 40 :][:80]


def test_a_part_that_comes_and_goes_and_one_that_also_moves_are_told_apart(whole):
    text = inspected(whole[1]).text
    assert "comes and goes (its amount by ± 40%)" in text
    assert "comes and goes, and moves (its amount by ± 40%, its place by 3.5 Å r.m.s.)" in text


def test_scenes_hold_the_parts_and_the_maps_of_states_and_differences(whole):
    scenes = inspected(whole[1]).scenes
    assert [part["title"] for part in scenes[0]["parts"]] == [
        "part 1",
        "part 2",
        "core",
        "unassigned",
    ]
    assert len(scenes) == 3
    for scene in scenes[1:]:
        assert [state["title"] for state in scene["states"]] == ["state 1", "state 2"]
        assert len(scene["differences"]) == 1


def test_what_users_wrote_is_escaped(fake_run):
    made = fake_run("run & <i>x</i>", parts=1, steps=("train", "parts", "focus"))
    command = "cryoparts run '</pre><script>alert(1)</script>'"
    (made.folder / "command.txt").write_text(command)
    html = write_report(made.folder).read_text()
    assert "<script>alert(1)" not in html
    assert "<i>x</i>" not in html
    assert "<b>& map</b>" not in html  # of config.yaml
    assert command in inspected(made.folder / "report.html").text


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((), "cryoparts train PARTICLES --model FILE --output"),
        (("train",), "cryoparts parts "),
        (("train", "parts"), "cryoparts focus "),
        (("train", "parts", "focus"), "cryoparts reconstruct "),
    ],
)
def test_steps_that_have_not_run_are_named_with_their_command(fake_run, steps, said):
    made = fake_run(steps=steps, parts=1)
    text = inspected(write_report(made.folder)).text
    assert said in text
    assert "Against the ground truth" not in text


def test_a_run_without_parts_says_so(fake_run):
    made = fake_run(parts=0, particles=1500, steps=("train", "parts"))
    text = inspected(write_report(made.folder)).text
    assert "No part changes" in text
    assert "cryoparts focus" not in text


def test_seventeen_particles_prove_nothing_and_the_page_says_it_first(fake_run):
    made = fake_run(particles=17, parts=1, gain=0.02, steps=("train", "parts", "focus"))
    page = inspected(write_report(made.folder))
    heading = page.text[: page.text.index("Learning", 200)]
    assert "Nothing can be concluded from this run." in heading
    assert "There are only 17 particles" in heading


def test_a_second_report_replaces_the_first_and_its_stale_figures(fake_run):
    made = fake_run(parts=2, steps=("train", "parts", "focus"))
    figures = made.folder / "figures"
    write_report(made.folder)
    (figures / "mine.png").write_bytes(b"kept")
    assert (figures / "part_2_particles.png").exists()
    for file in (made.folder / "focus" / "part_2").iterdir():
        file.unlink()
    write_report(made.folder)
    assert not (figures / "part_2_particles.png").exists()
    assert (figures / "part_1_particles.png").exists()
    assert (figures / "mine.png").read_bytes() == b"kept"
    assert not list(made.folder.glob(".*partial*"))


@pytest.mark.parametrize(
    ("file", "content", "named"),
    [
        ("metrics.jsonl", '{"epoch": 0}\nnot json\n', "line 2"),
        ("evaluation.json", "{", "evaluation.json"),
        ("config.yaml", "a: [", "config.yaml"),
        ("latent.npy", "no array", "latent.npy"),
    ],
)
def test_a_broken_file_is_named_and_nothing_is_written(fake_run, file, content, named):
    made = fake_run(parts=1, steps=("train",))
    (made.folder / file).write_text(content)
    with pytest.raises(InputError) as caught:
        write_report(made.folder)
    assert named in caught.value.where
    assert not (made.folder / "report.html").exists()


def test_labels_of_another_model_are_refused(fake_run):
    made = fake_run(parts=1, steps=("train", "parts"))
    with np.load(made.folder / "gaussians.npz") as stored:
        shorter = {name: stored[name][:-1] for name in stored.files}
    np.savez(made.folder / "gaussians.npz", **shorter)
    with pytest.raises(InputError, match="299 Gaussians"):
        write_report(made.folder)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="not a run folder"):
        write_report(tmp_path)


def test_maps_of_a_handful_of_particles_are_shown_for_what_they_are(fake_run):
    """No half maps, no FSC, no noise level, an empty map: nothing is made up, nothing fails."""
    made = fake_run(particles=17, parts=1, steps=("train", "parts", "focus"))
    box, zero = 16, np.zeros((16, 16, 16), dtype=np.float32)
    full = np.zeros_like(zero)
    full[5:11, 5:11, 5:11] = 1.0

    def of(density, particles):
        few = Reconstruction(
            density, zero, zero, FscCurves.undefined(box), None, particles, (particles, 0), 6.0,
            float(particles),
        )  # fmt: skip
        return GroupMap(few, None, None, None, None, None)

    difference = DifferenceMap(full - zero, None, None, None, full > 0, 12.0, 6.0)
    maps = PartMaps(
        {"state_1": of(full, 3), "state_2": of(zero, 1)},
        {("state_1", "state_2"): difference},
        mask=full,
        mask_source="given",
        part_mask=None,
        empty=("state_3",),
    )
    around = Surroundings(np.zeros((1, 3)), np.zeros(1, dtype=np.int64), ("core",))
    write_part_maps(made.folder / "reconstruction" / "part_1", maps, around, {})
    page = inspected(write_report(made.folder))
    assert "Maps of the states" in page.text
    assert not (made.folder / "figures" / "part_1_fsc.png").exists()
    assert (made.folder / "figures" / "part_1_maps.png").exists()
    assert "map to" not in page.text
