// The page of a run: its parts, its particles, and what is chosen of them.
import { $, ask, counted, element, numbers } from "./api.js";
import { coloured, legend } from "./colours.js";
import { Curve } from "./curve.js";
import { Jobs } from "./jobs.js";
import { Molecule } from "./molecule.js";
import { Particle } from "./particle.js";
import { Scatter } from "./scatter.js";
import { Chooser } from "./selection.js";
import { Summary } from "./summary.js";
import { theme } from "./theme.js";
import { Volumes } from "./volumes.js";

const AXES = ["x", "y", "z", "colour"];
const cache = new Map();
let run, scatter, molecule, chooser, curve, jobs, particle, volumes, drawing = 0;

export function say(text) { $("status").textContent = text; }
export function complain(text) { $("problem").textContent = text; $("problem").hidden = !text; }

export async function attempt(action) {
  try { return await action(); } catch (error) { say(""); complain(error.message); return null; }
}

async function column(name) {
  if (!cache.has(name)) cache.set(name, numbers("column", { name }).catch((error) => { cache.delete(name); throw error; }));
  return cache.get(name);
}

function fillColumns() {
  const kinds = new Map();
  for (const c of run.columns) {
    const kind = c.name.split(":")[0];
    kinds.set(kind, [...(kinds.get(kind) ?? []), c]);
  }
  for (const id of AXES) {
    const before = $(id).value;
    const groups = [...kinds].map(([kind, columns]) => {
      const group = element("optgroup", { label: kind.replace("_", " ") });
      group.append(...columns.map((c) => element("option", { value: c.name, title: c.meaning }, c.name)));
      return group;
    });
    $(id).replaceChildren(...(id === "z" ? [element("option", { value: "" }, "none (plane)")] : []), ...groups);
    if (before) $(id).value = before;
  }
}

const meaning = (name) => run.columns.find((c) => c.name === name)?.meaning ?? "";
const titled = (name) => (meaning(name) ? `${name}  –  ${meaning(name)}` : name);

async function draw() {
  const mine = ++drawing;
  const [x, y, z, name] = AXES.map((id) => $(id).value);
  say("loading …");
  const [xs, ys, zs, shades] = await Promise.all([column(x), column(y), z ? column(z) : null, column(name)]);
  if (mine !== drawing) return;
  scatter.setData({ x: xs, y: ys, z: zs, names: z ? [x, y, z] : [x, y], titles: [x, y].map(titled) });
  paint(shades, name);
  say("");
  $("tool-move").textContent = z ? "Turn" : "Move";
  chooser.redraw();
}

function paint(values, name) {
  const isCounted = run.columns.some((c) => c.name === name && c.colours);
  const missing = getComputedStyle(document.body).getPropertyValue("--missing").trim();
  const shades = coloured(values, { name, title: titled(name), isCounted, run, missing });
  scatter.setColours(shades.rgba);
  legend($("legend"), shades, (condition) => { $("condition").value = condition; chooser.choose({ condition }); });
}

async function recolour() {
  const name = $("colour").value, mine = drawing;
  const values = await column(name);
  if (mine === drawing) paint(values, name);
}

function show(view) {
  $("view").value = run.views.indexOf(view);
  [$("x").value, $("y").value, $("z").value, $("colour").value] = [view.x, view.y, view.z ?? "", view.colour];
  return attempt(draw);
}

function look(part) {
  const next = molecule.part === part || !run.parts.some((p) => p.part === part) ? null : part;
  molecule.look(next);
  for (const row of $("parts").querySelectorAll("button")) row.setAttribute("aria-pressed", String(Number(row.dataset.part) === next));
  const view = next === null ? run.views[0] : run.views.find((v) => v.x === `x:part_${next}`);
  if (view) show(view);
  const focused = next !== null && run.columns.some((c) => c.name === `coordinate:part_${next}`);
  curve.show(focused && run.trained ? next : null, run.parts.find((p) => p.part === next)?.title);
}

/** After a job: what it has made is here. */
async function refresh() {
  const fresh = await ask("content");
  Object.assign(run, fresh);
  cache.clear();
  curve.forget();
  fillColumns();
  fillViews();
  listParts();
  chooser.list();
  jobs.list();
  volumes.list(true);
  await attempt(draw);
}

/** What the run came to, below its parts. */
function concluded(told) {
  const lines = told.problem ? [["problem", told.problem]] : [["found", told.found], ["how sure", told.sure]];
  $("conclusion").replaceChildren(...lines.flatMap(([what, text]) => [element("dt", {}, what), element("dd", {}, text)]));
}

function fillViews() {
  $("view").replaceChildren(...run.views.map((v, i) => element("option", { value: i }, v.title)));
  $("view").selectedIndex = run.views.findIndex((v) => v.x === $("x").value && v.y === $("y").value && (v.z ?? "") === $("z").value);
}

function listParts() {
  $("parts").replaceChildren(...run.parts.map((p) => {
    const swatch = element("i", { className: "swatch" });
    swatch.style.background = p.colour;
    const moves = p.displacement ? `${p.displacement.toFixed(1)} Å` : "–", varies = p.amplitude ? `± ${p.amplitude.toFixed(2)}` : "–";
    const button = element("button", { type: "button", className: "part" }, swatch, element("b", {}, p.title),
      element("span", { title: "root mean square displacement over the particles" }, moves),
      element("span", { title: "standard deviation of the relative amplitude over the particles" }, varies),
      element("span", { title: "Gaussians of the part" }, counted(p.gaussians)));
    button.dataset.part = p.part;
    button.setAttribute("aria-pressed", String(molecule?.part === p.part));
    button.onclick = () => { look(p.part); if (molecule.part === p.part) molecule.face(p.part); };
    return element("li", {}, button);
  }));
  $("no-parts").hidden = run.parts.length > 0;
}

function tools() {
  for (const tool of ["lasso", "box", "move"]) {
    $(`tool-${tool}`).onclick = () => {
      scatter.setTool(tool);
      for (const other of ["lasso", "box", "move"]) $(`tool-${other}`).setAttribute("aria-pressed", String(other === tool));
    };
  }
  $("tool-reset").onclick = () => scatter.reset();
  $("model-reset").onclick = () => molecule.reset();
}

async function start() {
  run = await ask("content");
  $("facts").textContent = `${counted(run.particles)} particles · ${counted(run.model.x.length)} Gaussians`;
  fillColumns();
  fillViews();
  listParts();
  scatter = new Scatter($("scatter"), {
    lasso: (lasso) => chooser.choose({ lasso }),
    pick: (row) => particle.show(row),
    hover: (row) => { $("scatter").title = row < 0 ? "" : `particle ${counted(row + 1)}: click to see it`; },
  });
  molecule = new Molecule($("model"), run.model, look);
  const page = { say, complain, attempt, changed: (name) => { cache.delete(`selection:${name}`); fillColumns(); jobs.list(); } };
  volumes = new Volumes(run, molecule, page);
  curve = new Curve(molecule, volumes, page);
  particle = new Particle(run, scatter, molecule, curve, page);
  chooser = new Chooser(run, scatter, new Summary(run, page, (row) => particle.show(row)), page);
  jobs = new Jobs(run, page, () => attempt(refresh));
  tools();
  $("view").onchange = () => show(run.views[$("view").value]);
  for (const id of ["x", "y", "z"]) $(id).onchange = () => { $("view").selectedIndex = -1; attempt(draw); };
  $("colour").onchange = () => attempt(recolour);
  theme($("theme"), () => { molecule.recolour(); attempt(recolour); scatter.draw(); });
  await show(run.views[0]);
  ask("verdict").then(concluded, () => {});
  Object.assign(document.body, { scatter, molecule });  // for the console, and for tests
  document.body.dataset.ready = "true";
}

attempt(start);
