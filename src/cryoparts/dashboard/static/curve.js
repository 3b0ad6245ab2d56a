// The slider along a part's curve: the molecule as it is in the particles there.
import { $, ask, counted } from "./api.js";

const STEP_MILLISECONDS = 160;

export class Curve {
  constructor(molecule, volumes, page) {
    Object.assign(this, { molecule, volumes, page, part: null, found: null, playing: null, cache: new Map() });
    $("along").oninput = () => this.go(Number($("along").value));
    $("play").onclick = () => (this.playing ? this.stop() : this.play());
    $("neutral").onclick = () => this.neutral();
  }

  forget() { this.cache.clear(); }

  /** The curve of a part; null hides the slider. */
  async show(part, title) {
    this.stop();
    this.part = part;
    $("curve").hidden = part === null;
    if (part === null) { this.neutral(); return; }
    $("curve-title").textContent = `Along ${title}`;
    $("along").disabled = $("play").disabled = true;
    await this.page.attempt(async () => {
      if (!this.cache.has(part)) {
        this.page.say("decoding along the curve …");
        this.cache.set(part, await ask("curve", { part }));
        this.page.say("");
      }
      if (this.part !== part) return;
      const found = this.cache.get(part);
      if (typeof found.frames === "string") found.frames = new Float32Array(Uint8Array.from(atob(found.frames), (c) => c.charCodeAt(0)).buffer);
      this.found = found;
      $("along").max = found.coordinate.length - 1;
      $("along").disabled = $("play").disabled = false;
      this.neutral();
    });
  }

  async go(point) {
    if (!this.found) return;
    const { frames, coordinate, particles } = this.found, size = frames.length / coordinate.length;
    $("along").value = point;
    const said = `${Number(coordinate[point].toPrecision(3))}, mean of ${counted(particles[point])} particles`;
    $("along-said").textContent = said;
    $("along").setAttribute("aria-valuetext", said);
    $("model-said").textContent = "";
    this.molecule.place(frames.subarray(point * size, (point + 1) * size));
    this.#histogram(coordinate[point]);
    await this.volumes.moved({ part: this.part, point });
  }

  /** The model that does not change. */
  neutral() {
    this.stop();
    $("along-said").textContent = "neutral model";
    if (this.found) { $("along").value = Math.floor(this.found.coordinate.length / 2); this.#histogram(null); }
    $("model-said").textContent = "";
    this.molecule.place(null);
    return this.volumes.moved(null);
  }

  play() {
    let step = 1;
    $("play").textContent = "Stop";
    const advance = async () => {
      const last = this.found.coordinate.length - 1, at = Number($("along").value);
      if (at + step > last || at + step < 0) step = -step;
      await this.go(at + step);
      if (this.playing) this.playing = setTimeout(advance, STEP_MILLISECONDS);
    };
    this.playing = setTimeout(advance, 0);
  }

  stop() {
    clearTimeout(this.playing);
    this.playing = null;
    $("play").textContent = "Play";
  }

  #histogram(at) {
    const { counts, low, high } = this.found.histogram, canvas = $("along-histogram"), ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, canvas.clientHeight], most = Math.sqrt(Math.max(...counts, 1)), pen = canvas.getContext("2d");
    const style = getComputedStyle(canvas);
    [canvas.width, canvas.height] = [width * ratio, height * ratio];
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.fillStyle = style.getPropertyValue("--edge");
    // roots, so that few particles are seen beside many
    counts.forEach((n, i) => { const high = height * Math.sqrt(n) / most; pen.fillRect(i * width / counts.length, height - high, width / counts.length - 1, high); });
    if (at === null) return;
    pen.fillStyle = style.getPropertyValue("--accent");
    pen.fillRect(Math.round(width * (at - low) / (high - low)) - 1, 0, 2, height);
  }
}
