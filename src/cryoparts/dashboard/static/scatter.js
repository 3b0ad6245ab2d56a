// Points in a plane or in space, drawn by WebGL: 131,899 of them at once, chosen by lasso or box.
import { axes } from "./axes.js";

const VERTEX = `#version 300 es
in vec3 place; in vec4 colour; in float chosen;
uniform mat4 matrix; uniform float size, pass, dim, depth;
out vec4 shade;
void main() {
  gl_Position = matrix * vec4(place, 1.0);
  shade = vec4(colour.rgb, colour.a * (pass < 0.5 ? dim : 1.0));
  bool drawn = pass < 0.5 ? chosen < 0.5 : chosen > 0.5;
  if (!drawn) gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = size * (1.0 - 0.35 * depth * gl_Position.z);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
in vec4 shade; out vec4 colour;
void main() {
  vec2 p = gl_PointCoord - 0.5;
  if (dot(p, p) > 0.25) discard;
  colour = vec4(shade.rgb * shade.a, shade.a);
}`;
const PICK_PIXELS = 9, DIM = 0.1, CLICK_PIXELS = 4, MARGIN = { left: 58, right: 12, top: 10, bottom: 42 };

export class Scatter {
  /** `told`: lasso(shape), pick(row), hover(row or -1). */
  constructor(host, told) {
    Object.assign(this, { host, told, tool: "lasso", path: null, count: 0, marked: -1, asked: false });
    this.points = host.appendChild(document.createElement("canvas"));
    this.overlay = host.appendChild(document.createElement("canvas"));
    this.gl = this.points.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true });
    if (!this.gl) throw new Error("This browser has no WebGL 2: the particles cannot be drawn.");
    this.#compile();
    this.#listen();
    new ResizeObserver(() => this.#resized()).observe(host);
    this.#resized();
  }

  /** Values of two or three columns; `z` null shows a plane. */
  setData({ x, y, z, names, titles }) {
    Object.assign(this, { names, titles });
    this.space = Boolean(z);
    this.count = x.length;
    this.ranges = [x, y, z].map((values) => (values ? range(values, this.space) : { middle: 0, half: 1 }));
    this.place = new Float32Array(3 * this.count);
    [x, y, z].forEach((values, axis) => {
      const { middle, half } = this.ranges[axis];
      if (values) for (let i = 0; i < this.count; i++) this.place[3 * i + axis] = (values[i] - middle) / half;
    });
    // what has no value lies nowhere
    for (let i = 0; i < 3 * this.count; i++) if (!Number.isFinite(this.place[i])) this.place[i] = NaN;
    this.#fill("place", this.place.map((v) => (Number.isNaN(v) ? 1e9 : v)), 3);
    this.setMask(null);
    this.reset();
  }

  /** Four bytes (red, green, blue, opacity) a point. */
  setColours(rgba) { this.#fill("colour", rgba, 4); this.draw(); }

  /** One byte a point: those that are chosen; null for all. */
  setMask(mask) {
    this.masked = Boolean(mask);
    this.#fill("chosen", mask ?? new Uint8Array(this.count).fill(1), 1);
    this.draw();
  }

  /** Ring about a point; -1 for none. */
  mark(row) { this.marked = row; this.draw(); }

  setTool(tool) { this.tool = tool; this.overlay.style.cursor = tool === "move" ? "grab" : "crosshair"; }

  reset() {
    this.zoom = [1, 1];
    this.shift = [0, 0];
    this.turn = this.space ? rotation(rotation([1, 0, 0, 0, 1, 0, 0, 0, 1], 1, 0.6), 0, 0.45) : [1, 0, 0, 0, 1, 0, 0, 0, 1];
    this.draw();
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.#draw(); });
  }

  /** From places to CSS pixels of the overlay: two rows of four. */
  #pixels() {
    const { width, height } = this.area, side = 0.3 * Math.min(width, height);
    const [sx, sy] = this.space ? [side, side] : [0.5 * width / 1.06, 0.5 * height / 1.06];
    const t = this.turn, [cx, cy] = [MARGIN.left + width / 2 + this.shift[0], MARGIN.top + height / 2 + this.shift[1]];
    const [zx, zy] = [sx * this.zoom[0], -sy * this.zoom[1]];
    return [[zx * t[0], zx * t[1], zx * t[2], cx], [zy * t[3], zy * t[4], zy * t[5], cy]];
  }

  #draw() {
    if (!this.count) return;
    const gl = this.gl, { width, height } = this.area, ratio = this.ratio;
    const [row1, row2] = this.#pixels(), t = this.turn;
    const clipX = (v, i) => 2 * (v - (i === 3 ? MARGIN.left : 0)) / width - (i === 3 ? 1 : 0);
    const clipY = (v, i) => -2 * (v - (i === 3 ? MARGIN.top : 0)) / height + (i === 3 ? 1 : 0);
    const rows = [row1.map(clipX), row2.map(clipY), this.space ? [-0.5 * t[6], -0.5 * t[7], -0.5 * t[8], 0] : [0, 0, 0, 0], [0, 0, 0, 1]];
    const matrix = new Float32Array(16);
    rows.forEach((row, i) => row.forEach((v, j) => { matrix[4 * j + i] = v; }));
    gl.viewport(0, 0, this.points.width, this.points.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl[this.space ? "enable" : "disable"](gl.DEPTH_TEST);
    gl.uniformMatrix4fv(this.at.matrix, false, matrix);
    const size = this.count > 50000 ? 2.2 : this.count > 8000 ? 3.2 : 5;
    gl.uniform1f(this.at.size, size * ratio * Math.min(2, Math.sqrt(Math.max(this.zoom[0], 1))));
    gl.uniform1f(this.at.depth, this.space ? 1 : 0);
    gl.uniform1f(this.at.dim, DIM);
    for (const pass of this.masked ? [0, 1] : [1]) {
      gl.depthMask(pass === 1);
      gl.uniform1f(this.at.pass, pass);
      gl.drawArrays(gl.POINTS, 0, this.count);
    }
    axes(this.overlay.getContext("2d"), this, [row1, row2], MARGIN);
  }

  #compile() {
    const gl = this.gl, program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error("The particles cannot be drawn: " + gl.getProgramInfoLog(program));
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.at = Object.fromEntries(["matrix", "size", "pass", "dim", "depth"].map((n) => [n, gl.getUniformLocation(program, n)]));
    this.buffers = Object.fromEntries(["place", "colour", "chosen"].map((n) => [n, { buffer: gl.createBuffer(), at: gl.getAttribLocation(program, n) }]));
  }

  #fill(name, values, width) {
    const gl = this.gl, { buffer, at } = this.buffers[name];
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, width, values instanceof Float32Array ? gl.FLOAT : gl.UNSIGNED_BYTE, name === "colour", 0, 0);
  }

  #resized() {
    const { clientWidth, clientHeight } = this.host;
    this.ratio = window.devicePixelRatio || 1;
    this.area = { width: Math.max(clientWidth - MARGIN.left - MARGIN.right, 20), height: Math.max(clientHeight - MARGIN.top - MARGIN.bottom, 20) };
    Object.assign(this.points.style, { left: `${MARGIN.left}px`, top: `${MARGIN.top}px`, width: `${this.area.width}px`, height: `${this.area.height}px` });
    [this.points.width, this.points.height] = [this.area.width, this.area.height].map((v) => Math.round(v * this.ratio));
    [this.overlay.width, this.overlay.height] = [clientWidth, clientHeight].map((v) => Math.round(v * this.ratio));
    Object.assign(this.overlay.style, { width: `${clientWidth}px`, height: `${clientHeight}px` });
    this.draw();
  }

  /** Pixel of a point, from the corner of the whole. */
  whereIs(row) {
    const p = this.place.subarray(3 * row, 3 * row + 3);
    return this.#pixels().map((r) => r[0] * p[0] + r[1] * p[1] + r[2] * p[2] + r[3]);
  }

  /** Row of the point nearest to a pixel, -1 where none is near. */
  nearest([px, py]) {
    const [a, b] = this.#pixels(), p = this.place;
    let best = -1, least = PICK_PIXELS ** 2;
    for (let i = 0, k = 0; i < this.count; i++, k += 3) {
      const dx = a[0] * p[k] + a[1] * p[k + 1] + a[2] * p[k + 2] + a[3] - px;
      if (dx * dx > least) continue;
      const dy = b[0] * p[k] + b[1] * p[k + 1] + b[2] * p[k + 2] + b[3] - py, d = dx * dx + dy * dy;
      if (d < least) [best, least] = [i, d];
    }
    return best;
  }

  /** What a polygon in pixels encloses, in units of the columns. */
  #shape(corners) {
    const rows = this.#pixels();
    if (!this.space) {
      const inverse = (v, row, axis) => this.ranges[axis].middle + this.ranges[axis].half * (v - row[3]) / row[axis];
      return { x: this.names[0], y: this.names[1], corners: corners.map(([x, y]) => [inverse(x, rows[0], 0), inverse(y, rows[1], 1)]) };
    }
    const view = rows.map((row) => {
      const scaled = [0, 1, 2].map((i) => row[i] / this.ranges[i].half);
      return [...scaled, row[3] - scaled.reduce((sum, v, i) => sum + v * this.ranges[i].middle, 0)];
    });
    return { x: this.names[0], y: this.names[1], z: this.names[2], view, corners };
  }

  #listen() {
    const where = (e) => { const box = this.overlay.getBoundingClientRect(); return [e.clientX - box.left, e.clientY - box.top]; };
    let start = null, last = null, moving = false;
    this.overlay.onpointerdown = (e) => {
      if (e.button > 1) return;
      this.host.focus({ preventScroll: true });
      this.overlay.setPointerCapture(e.pointerId);
      start = last = where(e);
      moving = this.tool === "move" || e.button === 1 || e.altKey;
      this.path = moving ? null : [start];
    };
    this.overlay.onpointermove = (e) => {
      const at = where(e);
      if (!start) { this.told.hover(this.nearest(at), at); return; }
      if (moving) this.move(at[0] - last[0], at[1] - last[1]);
      else if (this.tool === "box") this.path = [start, [at[0], start[1]], at, [start[0], at[1]]];
      else if (Math.hypot(at[0] - last[0], at[1] - last[1]) > 2) this.path.push(at);
      else return;
      last = at;
      this.draw();
    };
    this.overlay.onpointerup = (e) => {
      const at = where(e), path = this.path;
      const clicked = start && Math.hypot(at[0] - start[0], at[1] - start[1]) < CLICK_PIXELS && (!path || path.length < 4 || this.tool === "box");
      const enclosed = start && !clicked && path && path.length > 2;
      start = this.path = null;
      this.draw();
      if (clicked) this.told.pick(this.nearest(at));
      else if (enclosed) this.told.lasso(this.#shape(path));
    };
    this.overlay.onpointercancel = () => { start = this.path = null; this.draw(); };
    this.overlay.onpointerleave = () => this.told.hover(-1, [0, 0]);
    this.overlay.addEventListener("wheel", (e) => { e.preventDefault(); this.zoomBy(Math.exp(-0.0015 * e.deltaY), where(e)); }, { passive: false });
    this.host.addEventListener("keydown", (e) => this.#key(e));
  }

  #key(e) {
    const step = 24, moves = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] };
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (moves[e.key]) this.move(...moves[e.key]);
    else if (e.key === "+" || e.key === "=") this.zoomBy(1.25);
    else if (e.key === "-") this.zoomBy(0.8);
    else if (e.key === "0") this.reset();
    else return;
    e.preventDefault();
  }

  /** Shift the plane, or turn the space, by pixels. */
  move(dx, dy) {
    if (this.space) this.turn = rotation(rotation(this.turn, 1, dx / 160), 0, dy / 160);
    else this.shift = [this.shift[0] + dx, this.shift[1] + dy];
    this.draw();
  }

  zoomBy(factor, at = [MARGIN.left + this.area.width / 2, MARGIN.top + this.area.height / 2]) {
    const centre = [MARGIN.left + this.area.width / 2, MARGIN.top + this.area.height / 2];
    for (const axis of [0, 1]) {
      const next = Math.min(Math.max(this.zoom[axis] * factor, 0.3), 500), by = next / this.zoom[axis];
      this.shift[axis] = at[axis] - centre[axis] - by * (at[axis] - centre[axis] - this.shift[axis]);
      this.zoom[axis] = next;
    }
    this.draw();
  }
}

/** Middle and half width of the values; of all but the outermost where a cloud is looked into. */
function range(values, inner) {
  let low = Infinity, high = -Infinity;
  for (const v of values) if (Number.isFinite(v)) { if (v < low) low = v; if (v > high) high = v; }
  if (low > high) return { middle: 0, half: 1 };
  if (inner && values.length > 1000) {
    const sorted = Float32Array.from(values.filter(Number.isFinite)).sort();
    [low, high] = [0.005, 0.995].map((q) => sorted[Math.round(q * (sorted.length - 1))]);
  }
  return { middle: 0.5 * (low + high), half: 0.5 * (high - low) || 0.5 };
}

/** A rotation (nine numbers, row by row) turned further about a screen axis: 0 across, 1 up. */
function rotation(m, about, angle) {
  const c = Math.cos(angle), s = Math.sin(angle), [i, j] = about === 0 ? [1, 2] : [2, 0], out = [...m];
  for (let k = 0; k < 3; k++) {
    out[3 * i + k] = c * m[3 * i + k] - s * m[3 * j + k];
    out[3 * j + k] = s * m[3 * i + k] + c * m[3 * j + k];
  }
  return out;
}
