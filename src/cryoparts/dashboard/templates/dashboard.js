"use strict";
const run = JSON.parse(document.getElementById("content").textContent);
const $ = (id) => document.getElementById(id);
const MISSING = "#d9dee4", DIM = 0.07;
const cache = new Map();
let asked = null;      // the request that the shown selection answers
let rowsOf = [];       // particles of each trace of the plot
let partShown = null;  // part that the model shows alone
let drawing = 0;       // number of the latest drawing, to drop answers that come late

function say(text) { $("status").textContent = text; }
function complain(text) { $("problem").textContent = text; }
const counted = (name) => run.columns.some((c) => c.name === name && c.counted);

async function column(name) {
  if (!cache.has(name)) {
    const answer = await fetch("column?name=" + encodeURIComponent(name));
    if (!answer.ok) throw new Error((await answer.json()).error);
    cache.set(name, new Float32Array(await answer.arrayBuffer()));
  }
  return cache.get(name);
}

async function post(path, request) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Cryoparts-Token": run.token },
    body: JSON.stringify(request),
  });
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error);
  return content;
}

function fill(select, entries, chosen) {
  select.replaceChildren(...entries.map(([value, text]) => new Option(text, value)));
  if (chosen !== undefined) select.value = chosen;
}

function fillColumns() {
  const entries = run.columns.map((c) => [c.name, c.name]);
  for (const id of ["x", "y", "colour"]) fill($(id), entries, $(id).value || undefined);
  run.columns.forEach((c, i) => ["x", "y", "colour"].forEach((id) => { $(id).options[i].title = c.meaning; }));
}

function discrete(values) {
  const found = [...new Set(values)].filter(Number.isFinite).sort((a, b) => a - b);
  const colour = (v) => run.stateColours[(v - 1 + run.stateColours.length) % run.stateColours.length];
  const index = new Map(found.map((v, i) => [v, i]));
  const n = Math.max(found.length, 1);
  const scale = found.flatMap((v, i) => [[i / n, colour(v)], [(i + 1) / n, colour(v)]]);
  return { found, colour, scale, min: -0.5, max: n - 0.5, of: (v) => index.get(v) };
}

function legend(name, steps, missing) {
  const [kind, of] = name.split(":");
  const word = (v) => (kind === "selection" ? (v ? "in " : "not in ") + of : `${kind} ${v}`);
  const entries = steps ? steps.found.map((v) => [steps.colour(v), word(v)]) : [];
  if (missing) entries.push([MISSING, `${missing} without ${name}`]);
  $("legend").replaceChildren(...entries.map(([colour, text]) => {
    const entry = document.createElement("span"), swatch = document.createElement("i");
    swatch.style.background = colour;
    entry.append(swatch, text);
    return entry;
  }));
}

function markers(rows, shade, steps, name) {
  const size = run.particles > 50000 ? 2.2 : run.particles > 8000 ? 3 : 4.5;
  const base = { size, opacity: run.particles > 20000 ? 0.5 : 0.75 };
  if (!shade) return { ...base, color: MISSING };
  const value = rows.map((i) => (steps ? steps.of(shade[i]) : shade[i]));
  return steps
    ? { ...base, color: value, colorscale: steps.scale, cmin: steps.min, cmax: steps.max }
    : { ...base, color: value, colorscale: "Viridis", colorbar: { title: { text: name, side: "right" }, thickness: 12, outlinewidth: 0 } };
}

async function draw() {
  const mine = ++drawing;
  const [xName, yName, name] = [$("x").value, $("y").value, $("colour").value];
  say("loading …");
  const [x, y, shade] = await Promise.all([column(xName), column(yName), column(name)]);
  if (mine !== drawing) return;
  const everyone = Array.from(x.keys());
  const known = everyone.filter((i) => Number.isFinite(shade[i]));
  const missing = everyone.filter((i) => !Number.isFinite(shade[i]));
  const steps = counted(name) ? discrete(known.map((i) => shade[i])) : null;
  rowsOf = [missing, known].filter((rows) => rows.length);
  const traces = rowsOf.map((rows) => ({
    type: "scattergl", mode: "markers", hoverinfo: "none", showlegend: false,
    x: rows.map((i) => x[i]), y: rows.map((i) => y[i]),
    marker: markers(rows, rows === missing ? null : shade, steps, name),
    unselected: { marker: { opacity: DIM } },
  }));
  legend(name, steps, missing.length);
  await Plotly.react("plot", traces, {
    dragmode: "lasso", margin: { l: 62, r: 12, t: 34, b: 48 }, uirevision: xName + yName,
    xaxis: { title: { text: xName }, zeroline: false }, yaxis: { title: { text: yName }, zeroline: false },
    paper_bgcolor: "#fff", plot_bgcolor: "#fff",
  }, { responsive: true, displaylogo: false, scrollZoom: true });
  say(`${run.particles.toLocaleString("en")} particles`);
  if (asked) await choose(asked);
}

function highlight(rows) {
  const chosen = rows && new Set(rows);
  const points = rowsOf.map((of) => (chosen ? of.flatMap((row, i) => (chosen.has(row) ? [i] : [])) : null));
  return Plotly.restyle("plot", { selectedpoints: points });
}

async function choose(request) {
  complain("");
  try {
    const join = $("join").value;
    const whole = join ? { ...request, join, with: $("with").value } : request;
    const answer = await post("choose", whole);
    asked = request;
    const share = (100 * answer.count / run.particles).toFixed(1);
    $("count").textContent = `${answer.count.toLocaleString("en")} particles selected (${share}%)`
      + (answer.undecided ? `; ${answer.undecided.toLocaleString("en")} lack a value that the condition needs and are not` : "");
    if (request.condition) await Plotly.relayout("plot", { selections: [] });
    await highlight(answer.rows);
  } catch (error) { complain(error.message); }
}

async function clearSelection() {
  asked = null;
  complain("");
  $("count").textContent = "nothing selected";
  await Plotly.relayout("plot", { selections: [] });
  await highlight(null);
}

function drawModel() {
  const { x, y, z, part, colours } = run.model;
  const size = Math.max(2, Math.min(7, 160 / Math.sqrt(x.length)));
  const shown = (label) => partShown === null || partShown === label;
  const traces = Object.keys(colours).map(Number).map((label) => {
    const rows = part.flatMap((p, i) => (p === label ? [i] : []));
    return {
      type: "scatter3d", mode: "markers", hoverinfo: "name", showlegend: false,
      name: (run.parts.find((p) => p.part === label) || { title: label < 0 ? "unassigned" : "model" }).title,
      x: rows.map((i) => x[i]), y: rows.map((i) => y[i]), z: rows.map((i) => z[i]),
      marker: { size, color: colours[label], opacity: shown(label) ? 1 : 0.08, line: { width: 0 } },
    };
  });
  const axis = { visible: false };
  // the longest side fills the view, so that a long molecule is not cut off
  const extents = [x, y, z].map((values) => Math.max(...values) - Math.min(...values));
  const [rx, ry, rz] = extents.map((extent) => 1.25 * extent / Math.max(...extents, 1e-9));
  return Plotly.react("model", traces, {
    margin: { l: 0, r: 0, t: 0, b: 0 }, uirevision: "model",
    scene: { xaxis: axis, yaxis: axis, zaxis: axis, aspectmode: "manual", aspectratio: { x: rx, y: ry, z: rz } },
  }, { responsive: true, displaylogo: false });
}

function show(view) {
  $("view").value = run.views.indexOf(view);
  [$("x").value, $("y").value, $("colour").value] = [view.x, view.y, view.colour];
  return attempt(draw);
}

async function attempt(action) {
  try { await action(); } catch (error) { say(""); complain(error.message); }
}

function listParts() {
  $("parts").tBodies[0].replaceChildren(...run.parts.map((p) => {
    const row = document.createElement("tr"), swatch = document.createElement("i");
    swatch.style.background = p.colour;
    for (const text of [swatch, p.title, p.gaussians, p.amplitude.toFixed(2), p.displacement.toFixed(1)]) {
      row.insertCell().append(text);
    }
    row.tabIndex = 0;
    row.onclick = () => {
      partShown = partShown === p.part ? null : p.part;
      [...row.parentNode.rows].forEach((r) => r.classList.toggle("on", r === row && partShown !== null));
      drawModel();
      const view = run.views.find((v) => v.x === `x:part_${p.part}`);
      if (view && partShown !== null) show(view);
    };
    row.onkeydown = (event) => { if (event.key === "Enter") row.click(); };
    return row;
  }));
}

function listSelections() {
  $("selections").replaceChildren(...run.selections.map((s) => {
    const entry = document.createElement("li"), button = document.createElement("button");
    button.textContent = `${s.name}: ${s.count.toLocaleString("en")} particles`;
    button.onclick = () => { $("condition").value = `\`selection:${s.name}\``; $("ask").requestSubmit(); };
    entry.append(button);
    return entry;
  }));
  fill($("with"), run.selections.map((s) => [s.name, s.name]), $("with").value || undefined);
}

function corners(event) {
  if (event.lassoPoints) return event.lassoPoints.x.map((x, i) => [x, event.lassoPoints.y[i]]);
  const [[x1, x2], [y1, y2]] = [event.range.x, event.range.y];
  return [[x1, y1], [x2, y1], [x2, y2], [x1, y2]];
}

async function start() {
  fillColumns();
  fill($("view"), run.views.map((v, i) => [i, v.title]));
  listParts();
  listSelections();
  await show(run.views[0]);
  await drawModel();
  $("plot").on("plotly_selected", (event) => {
    if (event && (event.lassoPoints || event.range)) {
      choose({ lasso: { x: $("x").value, y: $("y").value, corners: corners(event) } });
    }
  });
  $("plot").on("plotly_deselect", () => asked && clearSelection());
  $("view").onchange = () => show(run.views[$("view").value]);
  for (const id of ["x", "y", "colour"]) $(id).onchange = () => attempt(draw);
  for (const id of ["join", "with"]) $(id).onchange = () => asked && choose(asked);
  $("clear").onclick = clearSelection;
  $("ask").onsubmit = (event) => { event.preventDefault(); choose({ condition: $("condition").value }); };
  $("keep").onsubmit = async (event) => {
    event.preventDefault();
    if (!asked) { complain("Select particles first: draw a lasso or write a condition."); return; }
    const join = $("join").value;
    const request = { ...asked, name: $("name").value, replace: $("replace").checked };
    say("saving …");
    await attempt(async () => {
      const saved = await post("save", join ? { ...request, join, with: $("with").value } : request);
      [run.selections, run.columns] = [saved.selections, saved.columns];
      cache.delete("selection:" + $("name").value);
      fillColumns();
      listSelections();
      complain("");
      say(`saved ${saved.count.toLocaleString("en")} particles: ${saved.saved}`);
    });
  };
}

attempt(start);
