"""The page in a browser: the molecule, maps, folding, phone, dark, print; nothing from outside."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from cryoparts.browser.scripts import SURFACES
from cryoparts.motion.motion_files import write_motion_summary
from cryoparts.report.page import write_report
from fabricated_run import make_run

SCREW = {
    "axis": [0.0, 0.0, 1.0], "pivot_angstrom": [0.0, 0.0, 0.0], "slide_angstrom_per_degree": 0.0,
    "axis_error_degrees": 1.0, "pivot_error_angstrom": 1.0, "share_of_rigid_motion": 0.9,
    "turns": False,
}  # fmt: skip
ANGLES = {"mean": 0.0, "deviation": 10.0, "quantile_05": -20.0, "quantile_95": 20.0}
MOTION = {
    "name": "part_1", "screw": SCREW, "signed_angle_degrees": ANGLES,
    "displacement_rms_angstrom": 3.0, "residual_rms_angstrom": 0.3,
}  # fmt: skip


def picture(locator):
    """What is seen of an element, (rows, columns, 3)."""
    return np.asarray(Image.open(io.BytesIO(locator.screenshot())).convert("RGB")).astype(int)


def changed(one, other):
    """Share of the pixels that differ."""
    return float((np.abs(one - other).max(axis=2) > 12).mean())


def drawn(scene):
    scene.locator(":scope[data-drawn=yes]").wait_for()
    return scene.locator(".plot")


def put(page, slider, value):
    slider.evaluate("(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }", str(value))
    page.evaluate("() => new Promise(d => requestAnimationFrame(() => requestAnimationFrame(d)))")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A whole run whose first part turns, with names that would like to be scripts."""
    made = make_run(tmp_path_factory.mktemp("browser") / "run", particles=1200)
    parts = made.folder / "parts" / "parts.csv"
    parts.write_text(parts.read_text().replace("part_2,part_2", "part_2,<script>stop()</script>"))
    (made.folder / "motion").mkdir()
    core = {"angle_rms_degrees": 0.1, "shift_rms_angstrom": 0.1}
    write_motion_summary(
        made.folder / "motion", {"frame": "core", "core": core, "parts": {"part_1": MOTION}}
    )
    probability = np.ones(len(made.names))
    probability[:7] = 0.01
    np.save(made.folder / "probability.npy", probability)
    return write_report(made.folder)


@pytest.fixture
def opened(new_page, written):
    """A function that opens the report; nothing may be asked of any other address."""
    asked = []

    def at(anchor="", **options):
        page = new_page(**options)
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{written.as_uri()}#{anchor}")
        return page

    yield at
    outside = [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    assert not outside


def test_isosurfaces_are_closed_face_outward_and_lie_where_the_density_does(new_page):
    page = new_page()
    page.add_script_tag(path=str(SURFACES))
    mesh = page.evaluate(
        """() => {
          const n = 24, data = new Float32Array(n * n * n), at = [2, -3, 1];
          for (let z = 0; z < n; z++) for (let y = 0; y < n; y++) for (let x = 0; x < n; x++) {
            const r = Math.hypot(x - 12 - at[0], y - 12 - at[1], z - 12 - at[2]);
            data[x + n * (y + n * z)] = 1 / (1 + Math.exp(2 * (r - 5)));
          }
          return Surfaces.isosurface(
            {data: data, size: [n, n, n], origin: [-24, -24, -24], voxel: 2}, 0.5);
        }"""
    )
    vertices, normals = (
        np.array([[v["x"], v["y"], v["z"]] for v in mesh[key]]) for key in ("vertices", "normals")
    )
    faces = np.array(mesh["faces"]).reshape(-1, 3)
    out = vertices - [4, -6, 2]
    np.testing.assert_allclose(np.linalg.norm(out, axis=1), 10.0, atol=0.35)
    assert ((normals * out).sum(axis=1) / np.linalg.norm(out, axis=1)).min() > 0.9
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    assert ((np.cross(b - a, c - a) * (a + b + c - 3 * np.array([4, -6, 2]))).sum(axis=1) > 0).all()
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    _, count = np.unique(edges, axis=0, return_counts=True)
    assert (count == 2).all()


def test_the_molecule_stands_on_the_first_screen_and_shows_a_part_alone(opened):
    page = opened()
    scene = page.locator("#molecule")
    plot = drawn(scene)
    box = plot.bounding_box()
    assert box["y"] + 0.6 * box["height"] < 900
    page.set_viewport_size({"width": 390, "height": 844})
    box = plot.bounding_box()
    assert box["y"] + 0.6 * box["height"] < 844, "on a phone, too"
    page.set_viewport_size({"width": 1440, "height": 900})
    before = picture(plot)
    assert (np.abs(before - [247, 249, 251]).max(axis=2) > 12).mean() > 0.1, "nothing is drawn"
    button = scene.get_by_role("button", name="part 1", exact=True)
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert changed(before, picture(plot)) > 0.02
    button.click()
    plot.focus()
    page.keyboard.press("ArrowLeft")
    assert changed(before, picture(plot)) > 0.02, "arrow keys turn it"


def test_a_part_that_moves_is_played(opened):
    page = opened()
    scene = page.locator("#molecule")
    plot = drawn(scene)
    slider = scene.get_by_label("angle about its axis")
    before = picture(plot)
    put(page, slider, 1)
    assert scene.locator("output").inner_text() == "20.0°"
    assert changed(before, picture(plot)) > 0.01
    play = scene.get_by_role("button", name="▶ move")
    play.click()
    page.wait_for_function("v => document.querySelector('#molecule input').value !== v", arg="1")
    scene.get_by_role("button", name="❚❚ move").click()


def test_a_link_unfolds_its_part_and_its_maps_follow_contour_blend_and_slice(opened):
    page = opened("part-1")
    part = page.locator("#part-1")
    assert part.get_attribute("open") is not None
    scene = part.locator(".scene.maps")
    scene.scroll_into_view_if_needed()
    plot = drawn(scene)
    first = picture(plot)
    put(page, scene.get_by_label("contour"), 2.0)
    assert changed(first, picture(plot)) > 0.02
    put(page, scene.get_by_label("contour"), 1.0)
    scene.get_by_role("button", name="state 2", exact=True).click()
    second = picture(plot)
    assert changed(first, second) > 0.01
    put(page, scene.get_by_label("share"), 1)
    assert changed(second, picture(plot)) < 0.05, "state 1 turned wholly into state 2"
    scene.get_by_role("button", name="state 1 − state 2").click()
    assert changed(second, picture(plot)) > 0.02
    canvas = scene.locator(".planes canvas").first
    assert scene.locator(".planes canvas").count() == 2
    middle = picture(canvas)
    assert np.ptp(middle) > 50
    put(page, scene.get_by_label("slice", exact=True), 3)
    assert changed(middle, picture(canvas)) > 0.02
    scene.get_by_label("plane of the slices").select_option("yz plane")
    assert "x = " in scene.locator(".controls").nth(1).inner_text()


def test_without_webgl_the_still_pictures_stand_in(new_page, written):
    page = new_page()
    page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null;")
    page.goto(written.as_uri())
    assert page.locator(".still svg, .still img").first.is_visible()
    assert "offers no WebGL" in page.locator("#molecule").inner_text()


def test_every_part_is_in_the_menu_at_any_number(new_page, fake_run):
    made = fake_run("many", parts=9, gaussians=400, steps=("train", "parts", "focus"))
    count = int(made.labels.max())
    assert count > 5
    page = new_page()
    page.goto(write_report(made.folder).as_uri())
    page.get_by_text(f"Parts ({count})").click()
    links = page.locator(".parts-menu a")
    assert links.count() == count
    last = links.nth(count - 1)
    last.scroll_into_view_if_needed()
    last.click()
    # unfolded by what follows the click
    page.wait_for_selector(f"#part-{count}[open]", state="attached")
    assert page.evaluate("document.querySelector('nav').scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_wider_than_the_window_and_the_dark_page_is_dark(opened, width, scheme):
    page = opened(width=width, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.querySelector('section')).backgroundColor")
    light = np.mean([int(v) for v in re.findall(r"\d+", paper)[:3]])
    assert (light < 60) == (scheme == "dark")
    ink = page.evaluate("getComputedStyle(document.querySelector('.drawing text')).fill")
    seen = np.mean([int(v) for v in re.findall(r"\d+", ink)[:3]])
    assert abs(seen - light) > 90, "text of a figure that cannot be read"


def test_a_printer_gets_every_part_and_no_empty_scenes(opened):
    page = opened()
    assert page.locator("#part-2").get_attribute("open") is None
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.locator("#part-2 .views").is_visible()
    assert page.locator(".still img, .still svg").first.is_visible()
    assert not page.locator(".scene").first.is_visible()
    assert not page.locator("nav").is_visible()
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("#part-2").get_attribute("open") is None


def test_names_are_text_and_never_scripts(opened):
    page = opened()
    drawn(page.locator("#molecule"))
    name = "part 2, <script>stop()</script>"
    assert page.locator("#molecule").get_by_role("button", name=name).is_visible()
    assert (
        page.locator("script").evaluate_all("s => s.filter(e => e.text === 'stop()').length") == 0
    )


def test_junk_is_counted_and_shown(opened):
    page = opened("junk")
    section = page.locator("#junk")
    assert "7 of 1,200 particles (0.6%) are called junk" in section.inner_text()
    assert section.locator(".particle").count() == 12
    sizes = section.locator(".particle img").evaluate_all("i => i.map(e => e.naturalWidth)")
    assert min(sizes) > 0


def test_the_data_of_the_scenes_is_json_that_no_markup_can_end(written):
    blocks = re.findall(
        r'<script type="application/json">(.*?)</script>', written.read_text(), re.DOTALL
    )
    assert len(blocks) == 3
    assert "<" not in "".join(blocks)
    assert json.loads(blocks[0])["parts"][1]["title"] == "part 2, <script>stop()</script>"


def test_a_run_without_junk_says_so_and_shows_none(fake_run):
    made = fake_run("clean", steps=("train",))
    np.save(made.folder / "probability.npy", np.ones(len(made.names)))
    text = write_report(made.folder).read_text()
    assert "None of 400 particles is called junk" in text
    assert 'class="particle"' not in text
