// Steps that are started here: the command itself, its log as it comes, and what it has made.
import { $, ask, element, tell } from "./api.js";

const EVERY_MILLISECONDS = 700, MOST_LINES = 2000;

export class Jobs {
  /** `ended` is called when a job is done. */
  constructor(run, page, ended) {
    Object.assign(this, { run, page, ended, next: 0, running: false });
    $("start").onsubmit = (e) => { e.preventDefault(); this.start(); };
    $("job").onchange = () => this.#ask();
    $("stop").onclick = () => page.attempt(async () => { $("stop").disabled = true; this.#show(await tell("stop")); });
    this.list();
    this.#follow();
  }

  /** The parts and selections that there are. */
  list() {
    const parts = this.run.parts.filter((p) => p.part > 0), before = $("job-selection").value;
    $("job-part").replaceChildren(element("option", { value: "" }, "every part"), ...parts.map((p) => element("option", { value: p.part }, p.title)));
    $("job-selection").replaceChildren(...this.run.selections.map((s) => element("option", { value: s.name }, s.name)));
    if (before) $("job-selection").value = before;
    this.#ask();
  }

  /** What the kind of job needs to know. */
  #ask() {
    const kind = $("job").value;
    for (const field of document.querySelectorAll("#start [data-for]")) field.hidden = !field.dataset.for.split(" ").includes(kind);
    const nothing = kind === "selection" && !this.run.selections.length;
    $("job-lacks").hidden = !nothing;
    $("go").disabled = this.running || nothing;
  }

  async start() {
    const asked = { job: $("job").value, part: $("job-part").value, order: $("job-order").value, states: $("job-states").value, selection: $("job-selection").value };
    await this.page.attempt(async () => {
      $("log").textContent = "";
      this.next = 0;
      this.#show(await tell("start", asked));
      this.page.complain("");
      this.#follow();
    });
  }

  async #follow() {
    if (this.following) return;
    this.following = true;
    try {
      do {
        const told = await ask("job", { after: this.next });
        if (told.title) this.#show(told);
        if (!this.running) break;
        await new Promise((resolve) => setTimeout(resolve, EVERY_MILLISECONDS));
      } while (this.running);
    } catch (error) { this.page.complain(error.message); } finally { this.following = false; }
  }

  #show(told) {
    const was = this.running;
    this.running = told.running;
    $("job-report").hidden = false;
    if (told.next > this.next) {
      const log = $("log"), atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
      const lines = (log.textContent + told.lines.map((line) => line + "\n").join("")).split("\n");
      log.textContent = lines.slice(-MOST_LINES).join("\n");
      this.next = told.next;
      if (atEnd) log.scrollTop = log.scrollHeight;
    }
    const took = `${Math.round(told.seconds)} s`;
    $("job-said").textContent = told.running ? `${told.title}: running, ${took}`
      : told.stopped ? `${told.title}: stopped after ${took}`
        : told.exit === 0 ? `${told.title}: done in ${took}` : `${told.title}: failed after ${took} (exit status ${told.exit})`;
    $("job-report").dataset.state = told.running ? "running" : told.exit === 0 && !told.stopped ? "done" : "failed";
    $("command").textContent = told.command;
    $("stop").hidden = !told.running;
    $("stop").disabled = false;
    this.#ask();
    if (was && !told.running && told.exit === 0) this.ended();
  }
}
