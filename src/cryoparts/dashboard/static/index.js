// The runs of a folder, with what each came to.
import { $, ask, counted, element } from "./api.js";
import { theme } from "./theme.js";

function card(run) {
  const link = element("a", { href: `/run/${run.key}/` }, run.name);
  const facts = element("p", { className: "muted" }, "reading …"), said = element("dl");
  return { node: element("li", {}, element("h2", {}, link), facts, said), facts, said };
}

async function fill(run, { facts, said }) {
  const told = await ask(`/run/${run.key}/verdict`);
  facts.textContent = [told.particles === null ? "not trained yet" : `${counted(told.particles)} particles`, `changed ${told.changed}`, ...(told.working ? ["a step is running"] : [])].join(" · ");
  const lines = told.problem ? [["problem", told.problem]] : [["found", told.found], ["how sure", told.sure], ["next", told.next]];
  said.replaceChildren(...lines.flatMap(([what, text]) => [element("dt", {}, what), element("dd", { className: what === "problem" ? "warning" : "" }, text)]));
}

async function start() {
  const { folder, runs } = await ask("/runs");
  $("facts").textContent = `${counted(runs.length)} ${runs.length === 1 ? "run" : "runs"} in ${folder}`;
  const cards = runs.map(card);
  $("runs").replaceChildren(...cards.map((c) => c.node));
  // one after the other: each reads the tables of its run
  for (const [i, run] of runs.entries()) {
    try { await fill(run, cards[i]); } catch (error) { cards[i].facts.textContent = error.message; }
  }
  document.body.dataset.ready = "true";
}

theme($("theme"), () => {});
start().catch((error) => { $("problem").textContent = error.message; $("problem").hidden = false; });
