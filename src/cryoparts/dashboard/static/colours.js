// Colours of points by a column: one a number where the column counts, else a scale.
import { counted, element } from "./api.js";

// viridis (Smith, van der Walt & Firing; CC0), at nine places
const SCALE = ["#440154", "#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"].map(rgb);

export function rgb(hex) { return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)); }

/** Colour of a whole number of a column: brighter where the page is dark and it would not be seen. */
export function stateColour(run, column, number) {
  const palette = run.columns.find((c) => c.name === column)?.colours ?? ["#777777"];
  const hex = palette[(number - 1 + palette.length) % palette.length];
  if (document.documentElement.dataset.theme !== "dark") return hex;
  const light = rgb(hex).reduce((sum, v, i) => sum + [0.299, 0.587, 0.114][i] * v, 0), share = Math.max(0, (105 - light) / 255);
  return "#" + rgb(hex).map((v) => Math.round(v + share * (255 - v)).toString(16).padStart(2, "0")).join("");
}

const DARK_START = 0.22;   // of the scale: what lies below is not seen on a dark ground

function onScale(share) {
  const start = document.documentElement.dataset.theme === "dark" ? DARK_START : 0;
  const place = (start + (1 - start) * Math.min(Math.max(share, 0), 1)) * (SCALE.length - 1), below = Math.min(Math.floor(place), SCALE.length - 2);
  return SCALE[below].map((v, i) => v + (place - below) * (SCALE[below + 1][i] - v));
}

/** Colours (4 bytes a point) of a column, and what its legend says. */
export function coloured(values, { name, title, isCounted, run, missing }) {
  const rgba = new Uint8Array(4 * values.length), opacity = values.length > 20000 ? 140 : 200, absent = rgb(missing);
  let lacking = 0;
  const paint = (i, colour, alpha) => { rgba.set(colour, 4 * i); rgba[4 * i + 3] = alpha; };
  if (isCounted) {
    const counts = new Map();
    for (const v of values) if (Number.isFinite(v)) counts.set(v, (counts.get(v) ?? 0) + 1);
    const found = [...counts.keys()].sort((a, b) => a - b);
    const shade = new Map(found.map((v) => [v, rgb(stateColour(run, name, v))]));
    values.forEach((v, i) => { if (shade.has(v)) paint(i, shade.get(v), opacity); else { lacking++; paint(i, absent, opacity / 2); } });
    return { rgba, lacking, name, groups: found.map((v) => ({ value: v, count: counts.get(v), colour: `rgb(${shade.get(v)})` })) };
  }
  const known = Float32Array.from(values.filter(Number.isFinite)).sort(), at = (q) => known[Math.round(q * (known.length - 1))] ?? 0;
  // the outermost 0.5% at either end do not take the colours from the rest
  const [low, high] = [at(0.005), at(0.995)], span = high - low || 1, table = Array.from({ length: 256 }, (_, i) => onScale(i / 255));
  values.forEach((v, i) => {
    if (Number.isFinite(v)) paint(i, table[Math.min(Math.max(Math.round(255 * (v - low) / span), 0), 255)], opacity);
    else { lacking++; paint(i, absent, opacity / 2); }
  });
  return { rgba, lacking, name, title, low, high };
}

/** Legend; the entry of a number chooses its particles. */
export function legend(host, shades, choose) {
  const [kind, of] = shades.name.split(/:(.*)/s);
  const word = (v) => (kind === "selection" ? (v ? "in " : "not in ") + of : `${kind.replace("_", " ")} ${v}`);
  const entries = [];
  if (shades.groups) {
    for (const group of shades.groups) {
      const swatch = element("i", { className: "swatch" });
      swatch.style.background = group.colour;
      const button = element("button", { type: "button", className: "chip", title: "choose these particles" }, swatch, `${word(group.value)} `, element("small", {}, counted(group.count)));
      button.onclick = () => choose(`\`${shades.name}\` == ${group.value}`);
      entries.push(button);
    }
  } else {
    const bar = element("span", { className: "scale", title: "0.5% at either end lie beyond" });
    const steps = Array.from({ length: 9 }, (_, i) => `rgb(${onScale(i / 8).map(Math.round)})`);
    bar.style.background = `linear-gradient(90deg, ${steps})`;
    const shown = (v) => Number(v.toPrecision(3)).toLocaleString("en");
    entries.push(element("span", { className: "chip" }, shown(shades.low), bar, shown(shades.high), ` ${shades.title}`));
  }
  if (shades.lacking) entries.push(element("span", { className: "chip muted" }, `${counted(shades.lacking)} without ${shades.name}`));
  host.replaceChildren(...entries);
}
