// Choosing particles by lasso, box, condition or colour, and saving them under a name.
import { $, counted, element, tell, unpacked } from "./api.js";

export class Chooser {
  constructor(run, scatter, summary, page) {
    Object.assign(this, { run, scatter, summary, page, asked: null, mask: null, turn: 0 });
    $("ask").onsubmit = (e) => { e.preventDefault(); this.choose({ condition: $("condition").value }); };
    $("keep").onsubmit = (e) => { e.preventDefault(); this.save(); };
    $("clear").onclick = () => { this.page.complain(""); this.clear(); };
    for (const id of ["join", "with"]) $(id).onchange = () => this.asked && this.choose(this.asked);
    this.list();
  }

  /** The request as it is sent: joined to a saved selection where that is asked for. */
  #whole(request) {
    const join = $("join").value;
    return join ? { ...request, join, with: $("with").value } : request;
  }

  async choose(request) {
    const mine = ++this.turn;
    this.page.complain("");
    try {
      const whole = this.#whole(request), answer = await tell("choose", whole);
      if (mine !== this.turn) return;
      this.asked = request;
      this.mask = unpacked(answer.mask, this.run.particles);
      const share = (100 * answer.count / this.run.particles).toFixed(1);
      $("count").textContent = `${counted(answer.count)} particles chosen (${share}%)`
        + (answer.undecided ? `; ${counted(answer.undecided)} lack a value that the condition needs and are not` : "");
      this.redraw();
      this.summary.show(whole, answer.count);
    } catch (error) {
      if (mine !== this.turn) return;
      // what was chosen before is not what is asked for now, and must not be saved for it
      this.clear();
      this.page.complain(error.message);
    }
  }

  clear() {
    this.turn++;
    Object.assign(this, { asked: null, mask: null });
    $("count").textContent = "nothing chosen";
    this.redraw();
    this.summary.show(null, 0);
  }

  redraw() {
    $("save").disabled = $("clear").disabled = !this.asked;
    this.scatter.setMask(this.mask);
  }

  async save() {
    if (!this.asked) return;
    const name = $("name").value;
    this.page.say("saving …");
    await this.page.attempt(async () => {
      const saved = await tell("save", this.#whole({ ...this.asked, name, replace: $("replace").checked }));
      [this.run.selections, this.run.columns] = [saved.selections, saved.columns];
      this.page.changed(name);
      this.list();
      this.page.complain(saved.by_name_only ? "The particles are saved by their names alone: the particle file of the run was not found (run.log says more)." : "");
      this.page.say(`saved ${counted(saved.count)} particles: ${saved.file}`);
    });
  }

  list() {
    $("selections").replaceChildren(...this.run.selections.map((s) => {
      const button = element("button", { type: "button", className: "link" }, s.name);
      button.onclick = () => { const condition = `\`selection:${s.name}\``; $("condition").value = condition; this.choose({ condition }); };
      const files = s.files.map((suffix) => element("a", { href: `file?${new URLSearchParams({ name: s.name, suffix })}`, download: "" }, suffix));
      return element("li", {}, button, element("span", { className: "muted" }, ` ${counted(s.count)} particles `), ...files);
    }));
    $("no-selections").hidden = this.run.selections.length > 0;
    const before = $("with").value;
    $("with").replaceChildren(...this.run.selections.map((s) => element("option", { value: s.name }, s.name)));
    if (before) $("with").value = before;
  }
}
