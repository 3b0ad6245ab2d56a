// What chosen particles have in common: populations of every part, averages by view, their images.
import { stateColour } from "./colours.js";
import { $, counted, element, tell } from "./api.js";

const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)}%`);

export class Summary {
  /** `open` shows a particle by its row. */
  constructor(run, page, open) {
    Object.assign(this, { run, page, open, request: null, turn: 0, number: 0 });
    $("more").onclick = () => this.gallery(this.number + 1);
    $("gallery-raw").onchange = () => this.gallery(this.number);
  }

  async show(request, count) {
    const mine = ++this.turn;
    this.request = count ? request : null;
    $("summary").hidden = $("seen").hidden = !this.request;
    if (!this.request) return;
    $("summary-status").textContent = "averaging …";
    const [found] = await Promise.all([this.page.attempt(() => tell("summary", request)), this.gallery(0)]);
    if (mine !== this.turn) return;
    $("summary-status").textContent = "";
    if (!found) return;
    this.#populations(found.populations);
    this.#averages(found.averages);
  }

  #populations(parts) {
    const rows = [];
    for (const part of parts) {
      const presence = part.presence === undefined ? "" : `there in ${percent(part.presence)} (all: ${percent(part.presence_of_all)})`;
      rows.push(element("tr", { className: "head" }, element("th", { scope: "rowgroup" }, part.title), element("td", { colSpan: 3, className: "muted" }, presence)));
      for (const state of part.states) rows.push(this.#state(state, `state:${part.part}`));
    }
    $("populations").replaceChildren(...rows);
    $("populations-empty").hidden = rows.length > 0;
  }

  #state(state, column) {
    const fill = element("i"), mark = element("b"), bar = element("span", { className: "bar-of", title: "bar: chosen particles; line: all" }, fill, mark);
    fill.style.width = percent(state.share ?? 0);
    fill.style.background = stateColour(this.run, column, state.state);
    mark.style.left = percent(state.share_of_all ?? 0);
    return element("tr", {}, element("th", { scope: "row" }, `state ${state.state}`), element("td", {}, bar),
      element("td", { className: "number" }, percent(state.share)), element("td", { className: "number muted" }, `all ${percent(state.share_of_all)}`));
  }

  #averages(views) {
    $("averages").replaceChildren(...views.map((view, i) => {
      const picture = (kind, of) => element("figure", {},
        view[kind] ? element("img", { src: view[kind], alt: `view ${i + 1}: average of ${of}`, width: 110, height: 110 }) : element("span", { className: "blank" }, "none"),
        element("figcaption", {}, `${of}: ${counted(view[`${kind}_count`])}`));
      return element("li", {}, picture("chosen", "chosen"), picture("others", "others"));
    }));
  }

  async gallery(number) {
    if (!this.request) return;
    const mine = this.turn;
    const found = await this.page.attempt(() => tell("pictures", { ...this.request, page: number, raw: $("gallery-raw").checked }));
    if (!found || mine !== this.turn) return;
    this.number = found.page;
    $("more").disabled = found.pages < 2;
    $("gallery").replaceChildren(...found.images.map((image) => {
      const button = element("button", { type: "button", title: image.name }, element("img", { src: image.picture, alt: `particle ${image.row + 1}`, width: 64, height: 64 }));
      button.onclick = () => this.open(image.row);
      return element("li", {}, button);
    }));
  }
}
