// The surface of a map in the viewer of the model: which map, and at which contour level.
import { $, ask, element } from "./api.js";

const NEAR = 1.6;   // spacings of the Gaussians: what lies farther from all has no part's colour

export class Volumes {
  constructor(run, molecule, page) {
    Object.assign(this, { run, molecule, page, shown: null, turn: 0, place: null, cache: new Map() });
    $("map").onchange = () => { if (!this.shown) $("balls").checked = /difference_/.test($("map").value); this.choose(); };
    $("level").oninput = () => this.#later();
    $("balls").onchange = () => this.#dress();
    this.list();
  }

  /** The maps that there are now; `newest` shows the last of them that was not there before. */
  list(newest = false) {
    const before = $("map").value, old = this.known ?? new Set();
    const option = (value, text) => element("option", { value }, text);
    const groups = new Map();
    for (const map of this.run.maps) groups.set(map.group, [...(groups.get(map.group) ?? []), map]);
    $("map").replaceChildren(option("", "none"), option("model", "density of the model"), ...[...groups].map(([group, maps]) => {
      const made = element("optgroup", { label: group });
      made.append(...maps.map((m) => option(m.key, `${group}: ${m.title}`)));
      return made;
    }));
    this.known = new Set(this.run.maps.map((m) => m.key));
    const made = this.run.maps.find((m) => !old.has(m.key));
    if (newest) this.cache.clear();
    $("map").value = newest && made ? made.key : [...$("map").options].some((o) => o.value === before) ? before : "";
    if (newest && $("map").value) $("map").onchange();
  }

  /** Whether the map follows the slider of a part's curve. */
  get follows() { return $("map").value === "model"; }

  /** What the density of the model is of: a place of the slider, or a particle; null for the neutral model. */
  async moved(place) {
    this.place = place;
    const key = $("map").value;
    const isFrame = place && key.startsWith(`part_${place.part}/trajectory/`);
    if (this.follows || isFrame) await this.choose();
  }

  #question() {
    const key = $("map").value, place = this.place;
    if (!key) return null;
    if (place?.row !== undefined) return key === "model" ? { row: place.row } : { key };
    if (place && key === "model") return { part: place.part, point: place.point };
    if (place && key.startsWith(`part_${place.part}/trajectory/`)) return { part: place.part, point: place.point, source: "maps" };
    return { key };
  }

  async choose() {
    const mine = ++this.turn, question = this.#question();
    if (!question) { this.shown = null; this.#dress(); this.molecule.setSurfaces([]); return; }
    await this.page.attempt(async () => {
      const name = JSON.stringify(question);
      const found = this.cache.get(name) ?? await loaded(question);
      if (question.row === undefined) this.cache.set(name, found);  // of particles there are too many
      if (mine !== this.turn) return;
      this.shown = { ...found, name: question.key ?? (question.row === undefined ? `${question.part}:${question.point}` : `particle ${question.row + 1}`) };
      this.#dress();
      this.#contour();
    });
  }

  #dress() {
    $("level").disabled = $("balls").disabled = !this.shown;
    if (!this.shown) $("balls").checked = true;
    this.molecule.show($("balls").checked);
    if (this.shown) this.#contour();
  }

  #later() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.#contour(); });
  }

  #contour() {
    if (!this.shown) return;
    const level = this.shown.level * Number($("level").value);
    const within = Math.min(Math.max(level, this.shown.low * 1.001), this.shown.high * 0.999);
    const meshes = this.shown.signed ? this.#signed(within) : [this.#plain(within)];
    $("level-said").textContent = Number(level.toPrecision(3)).toString();
    $("level").setAttribute("aria-valuetext", `density ${$("level-said").textContent}`);
    this.molecule.setSurfaces(meshes);
    Object.assign($("model").dataset, { triangles: meshes.reduce((sum, mesh) => sum + mesh.faces.length / 3, 0), surface: this.shown.name });
  }

  #plain(level) {
    const mesh = Surfaces.isosurface(this.shown, level);
    return { ...mesh, colours: this.molecule.coloursAt(mesh.vertices, NEAR), opacity: $("balls").checked ? 0.5 : 1 };
  }

  /** More density and less. */
  #signed(level) {
    const negative = { ...this.shown, data: this.shown.data.map((v) => -v) }, { more, less } = this.run.differences;
    return [[this.shown, more], [negative, less]].map(([volume, colours]) => ({ ...Surfaces.isosurface(volume, level), colours, opacity: 0.85 }));
  }
}

async function loaded(question) {
  const { frame, low, high, level, signed, codes } = await ask("volume", question);
  const bytes = await Surfaces.unpacked(codes), step = (high - low) / 255;
  // the border is solvent, so that every surface closes
  return { ...frame, data: Float32Array.from(bytes, (code) => low + step * code), low, high, level, signed };
}
