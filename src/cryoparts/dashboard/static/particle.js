// One particle: raw and filtered image beside the projection of its decoded model.
import { $, ask, counted, element } from "./api.js";

const PICTURES = { raw: "raw image", filtered: "filtered image", projection: "projection of its model" };

export class Particle {
  constructor(run, scatter, molecule, curve, page) {
    Object.assign(this, { run, scatter, molecule, curve, page, row: -1, turn: 0 });
    $("row").max = run.particles;
    $("find").onsubmit = (e) => { e.preventDefault(); this.show(Number($("row").value) - 1); };
    $("forget").onclick = () => this.clear();
  }

  async show(row) {
    if (row < 0) return;
    const mine = ++this.turn;
    $("particle-status").textContent = this.run.trained ? "decoding …" : "reading …";
    const found = await this.page.attempt(() => ask("particle", { row }));
    if (mine !== this.turn) return;
    $("particle-status").textContent = "";
    if (!found) return;
    this.page.complain("");
    this.row = row;
    $("row").value = row + 1;
    this.scatter.mark(row);
    this.#pictures(found);
    this.#values(found);
    $("particle-found").hidden = false;
    $("particle-empty").hidden = true;
    if (found.decoded) {
      this.curve.stop();
      this.molecule.place(new Float32Array(Uint8Array.from(atob(found.decoded), (c) => c.charCodeAt(0)).buffer));
      this.curve.volumes.moved({ row });
      $("model-said").textContent = `decoded model of particle ${counted(row + 1)}`;
    }
  }

  clear() {
    this.turn++;
    this.row = -1;
    this.scatter.mark(-1);
    $("particle-found").hidden = true;
    $("particle-empty").hidden = false;
    $("model-said").textContent = "";
    this.curve.neutral();
  }

  #pictures(found) {
    const said = { ...PICTURES };
    if (!found.decoded) said.projection = "projection of the neutral model: nothing is trained yet";
    $("pictures").replaceChildren(...Object.entries(said).map(([kind, text]) => {
      const image = element("img", { src: found.pictures[kind], alt: `${text} of ${found.name}`, width: 150, height: 150 });
      return element("figure", {}, image, element("figcaption", {}, text));
    }));
    const agreement = found.agreement === null ? "" : ` Correlation of the two on the right: ${found.agreement.toFixed(2)}`
      + (found.neutral_agreement === null ? "." : ` (neutral model ${found.neutral_agreement.toFixed(2)}).`);
    $("particle-said").textContent = `${found.box} pixels of ${found.pixel.toFixed(2)} Å, protein bright; filtered: CTF undone, to ${found.finest.toFixed(0)} Å.${agreement}`;
  }

  #values(found) {
    $("particle-name").textContent = found.image && found.image !== found.name ? `${found.name} (image ${found.image})` : found.name;
    $("values").replaceChildren(...Object.entries(found.values).map(([name, value]) =>
      element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 })))));
  }
}
