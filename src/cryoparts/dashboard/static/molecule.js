// The molecule: Gaussians as balls in their parts' colours, and the surface of a map (3Dmol).
import { rgb } from "./colours.js";

const GHOST = 0.45;   // of the radius, of what is not looked at
const THERE = 0.12;   // relative amplitude below which a ball is not drawn

export class Molecule {
  /** `picked` is told the part of a ball that is clicked. */
  constructor(host, model, picked) {
    Object.assign(this, { host, model, picked, part: null, balls: true, surfaces: [], places: null });
    host.dataset.places = "neutral";
    this.viewer = $3Dmol.createViewer(host, { backgroundAlpha: 0, antialias: true, upscale: false, disableFog: false });
    this.atoms = model.x.map((x, i) => ({
      elem: "C", serial: i, x, y: model.y[i], z: model.z[i], clickable: true,
      callback: (atom) => this.picked(model.part[atom.serial]),
    }));
    this.shown = this.viewer.addModel();
    this.shown.addAtoms(this.atoms);
    this.recolour();
    this.reset();
    host.addEventListener("keydown", (e) => this.#key(e));
    new ResizeObserver(() => {
      if (!host.clientWidth || !host.clientHeight) return;
      this.viewer.resize();
      if (this.untouched) this.reset(); else this.viewer.render();
    }).observe(host);
    for (const kind of ["pointerdown", "wheel", "keydown"]) host.addEventListener(kind, () => { this.untouched = false; }, { passive: true });
  }

  /** Look at one part; null for all. */
  look(part) { this.part = part; this.#dress(); }

  /** Turn so that a part is in front. */
  face(part) {
    const centre = (atoms) => ["x", "y", "z"].map((axis) => atoms.reduce((sum, a) => sum + a[axis], 0) / Math.max(atoms.length, 1));
    const own = centre(this.atoms.filter((a) => this.model.part[a.serial] === part)), whole = centre(this.atoms);
    const d = own.map((v, i) => v - whole[i]), length = Math.hypot(...d);
    if (length < this.model.radius) return;
    // the quaternion that turns the part's direction to the viewer's, (0, 0, 1)
    const [x, y, z] = d.map((v) => v / length), w = 1 + z, norm = Math.hypot(y, x, w) || 1;
    const view = this.viewer.getView();
    [view[4], view[5], view[6], view[7]] = w < 1e-6 ? [1, 0, 0, 0] : [y / norm, -x / norm, 0, w / norm];
    this.viewer.setView(view);
    // a little from the side: what it is part of is seen too
    this.viewer.rotate(-24, "y");
    this.viewer.rotate(14, "x");
    this.viewer.render();
  }

  /** Show the balls or leave the surface alone. */
  show(balls) { this.balls = balls; this.#dress(); }

  /** Place the balls: x, y, z (Å) and relative amplitude of each; null for the neutral model. */
  place(values) {
    this.places = values;
    // for who asks whether it moved
    this.host.dataset.places = values ? values.reduce((sum, v, i) => sum + v * (1 + (i % 97)), 0).toFixed(3) : "neutral";
    this.#dress();
  }

  recolour() {
    const style = getComputedStyle(this.host);
    this.background = style.getPropertyValue("--panel").trim();
    this.viewer.setBackgroundColor(this.background, 0);
    this.#dress();
  }

  #dress() {
    const { x, y, z, part, colours, radius } = this.model, p = this.places;
    this.atoms = this.shown.selectedAtoms({});
    for (const atom of this.atoms) {
      const i = atom.serial, amplitude = p ? p[4 * i + 3] : 1, looked = this.part === null || this.part === part[i];
      [atom.x, atom.y, atom.z] = p ? [p[4 * i], p[4 * i + 1], p[4 * i + 2]] : [x[i], y[i], z[i]];
      const colour = looked ? colours[part[i]] : mixed(colours[part[i]], this.background, 0.6);
      const size = radius * (looked ? 1 : GHOST) * Math.min(Math.cbrt(Math.max(amplitude, 0)), 1.3);
      // a ball that is not drawn, because a surface is, can be clicked all the same
      if (amplitude < THERE) atom.style = { sphere: { hidden: true } };
      else atom.style = this.balls ? { sphere: { color: colour, radius: size } } : { clicksphere: { radius } };
      atom.intersectionShape = { sphere: [], cylinder: [], line: [], triangle: [] };
    }
    // told of one, the viewer draws all anew
    if (this.atoms.length) this.shown.setStyle({ serial: 0 }, this.atoms[0].style);
    this.viewer.render();
  }

  /** Surfaces, each with vertices (Å), normals, triangles, one colour or one a vertex, and opacity. */
  setSurfaces(meshes) {
    for (const shape of this.surfaces) this.viewer.removeShape(shape);
    this.surfaces = meshes.filter((mesh) => mesh.faces.length).map((mesh) => this.viewer.addCustom({
      vertexArr: mesh.vertices, normalArr: mesh.normals, faceArr: mesh.faces, color: mesh.colours, opacity: mesh.opacity,
    }));
    this.viewer.render();
  }

  /** Colour of the nearest Gaussian's part at each place; grey where none is within some radii. */
  coloursAt(places, radii) {
    const reach = radii * this.model.radius / 0.7, cells = new Map(), { part, colours } = this.model, grey = { r: 0.69, g: 0.73, b: 0.78 };
    const cell = (x, y, z) => `${Math.floor(x / reach)},${Math.floor(y / reach)},${Math.floor(z / reach)}`;
    const shades = Object.fromEntries(Object.entries(colours).map(([label, hex]) => [label, hex === colours[0] ? grey : Object.fromEntries(rgb(hex).map((v, i) => ["rgb"[i], v / 255]))]));
    for (const atom of this.atoms) {
      const key = cell(atom.x, atom.y, atom.z);
      if (!cells.has(key)) cells.set(key, []);
      cells.get(key).push(atom);
    }
    return places.map((p) => {
      let best = null, least = reach * reach;
      for (let dx = -1; dx < 2; dx++) for (let dy = -1; dy < 2; dy++) for (let dz = -1; dz < 2; dz++) {
        for (const atom of cells.get(cell(p.x + dx * reach, p.y + dy * reach, p.z + dz * reach)) ?? []) {
          const d = (atom.x - p.x) ** 2 + (atom.y - p.y) ** 2 + (atom.z - p.z) ** 2;
          if (d < least) [best, least] = [atom, d];
        }
      }
      return best === null || (this.part !== null && part[best.serial] !== this.part) ? grey : shades[part[best.serial]];
    });
  }

  turn(axis, degrees) { this.viewer.rotate(degrees, axis); this.viewer.render(); }

  /** The whole model, with room for what it moves to: the viewer itself looks at the height alone. */
  reset() {
    const { clientWidth, clientHeight } = this.host;
    this.viewer.zoomTo();
    this.viewer.zoom(0.84 * Math.min(1, clientWidth / Math.max(clientHeight, 1)));
    this.viewer.render();
    this.untouched = true;
  }

  #key(e) {
    const turns = { ArrowLeft: ["y", -10], ArrowRight: ["y", 10], ArrowUp: ["x", -10], ArrowDown: ["x", 10] };
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (turns[e.key]) this.turn(...turns[e.key]);
    else if (e.key === "+" || e.key === "=") { this.viewer.zoom(1.2); this.viewer.render(); }
    else if (e.key === "-") { this.viewer.zoom(0.83); this.viewer.render(); }
    else if (e.key === "0") this.reset();
    else return;
    e.preventDefault();
  }
}

function mixed(colour, other, share) {
  const [a, b] = [rgb(colour), rgb(other.startsWith("#") && other.length === 7 ? other : "#ffffff")];
  return "#" + a.map((v, i) => Math.round((1 - share) * v + share * b[i]).toString(16).padStart(2, "0")).join("");
}
