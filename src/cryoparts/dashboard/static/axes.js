// What stands around and over the points: axes with their names, the lasso, the marked particle.

/** Round numbers between two, about `wanted` of them. */
export function ticks(low, high, wanted) {
  const rough = (high - low) / Math.max(wanted, 1), power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough) ?? power;
  const found = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) found.push(k * step + 0);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  return found.map((v) => [v, digits > 6 || Math.abs(v) >= 1e6 ? v.toExponential(1) : v.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })]);
}

export function axes(pen, scatter, rows, margin) {
  const style = getComputedStyle(scatter.host), colour = (name) => style.getPropertyValue(name).trim();
  const { width, height } = scatter.area, ratio = scatter.ratio;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, scatter.overlay.width, scatter.overlay.height);
  pen.font = `12px ${style.fontFamily}`;
  pen.lineWidth = 1;
  (scatter.space ? triad : frame)(pen, scatter, rows, margin, colour);
  pen.save();
  pen.beginPath();
  pen.rect(margin.left, margin.top, width, height);
  pen.clip();
  if (scatter.marked >= 0) ring(pen, scatter, colour("--ink"));
  if (scatter.path) {
    pen.beginPath();
    scatter.path.forEach(([x, y]) => pen.lineTo(x, y));
    pen.closePath();
    pen.fillStyle = colour("--accent");
    pen.globalAlpha = 0.12;
    pen.fill();
    pen.globalAlpha = 1;
    pen.strokeStyle = colour("--accent");
    pen.lineWidth = 1.5;
    pen.stroke();
  }
  pen.restore();
}

function frame(pen, scatter, rows, margin, colour) {
  const { width, height } = scatter.area, [right, bottom] = [margin.left + width, margin.top + height];
  const value = (pixel, axis) => scatter.ranges[axis].middle + scatter.ranges[axis].half * (pixel - rows[axis][3]) / rows[axis][axis];
  const pixel = (v, axis) => rows[axis][3] + rows[axis][axis] * (v - scatter.ranges[axis].middle) / scatter.ranges[axis].half;
  pen.strokeStyle = colour("--line");
  pen.strokeRect(margin.left + 0.5, margin.top + 0.5, width - 1, height - 1);
  pen.fillStyle = colour("--muted");
  pen.textAlign = "center";
  pen.textBaseline = "top";
  for (const [v, text] of ticks(value(margin.left, 0), value(right, 0), width / 70)) {
    const at = Math.round(pixel(v, 0)) + 0.5;
    line(pen, at, bottom, at, bottom + 4);
    pen.fillText(text, at, bottom + 6);
  }
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  for (const [v, text] of ticks(value(bottom, 1), value(margin.top, 1), height / 60)) {
    const at = Math.round(pixel(v, 1)) + 0.5;
    line(pen, margin.left - 4, at, margin.left, at);
    pen.fillText(text, margin.left - 7, at);
  }
  pen.fillStyle = colour("--ink");
  pen.textAlign = "center";
  pen.textBaseline = "bottom";
  pen.fillText(fitted(pen, scatter.titles[0], width), margin.left + width / 2, bottom + margin.bottom - 4);
  pen.save();
  pen.translate(13, margin.top + height / 2);
  pen.rotate(-Math.PI / 2);
  pen.textBaseline = "middle";
  pen.fillText(fitted(pen, scatter.titles[1], height), 0, 0);
  pen.restore();
}

function triad(pen, scatter, rows, margin, colour) {
  const { height } = scatter.area, origin = [margin.left + 46, margin.top + height - 40];
  const longest = Math.max(...[0, 1, 2].map((i) => Math.hypot(rows[0][i], rows[1][i])));
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  scatter.names.forEach((name, axis) => {
    const [dx, dy] = [rows[0][axis], rows[1][axis]].map((v) => 44 * v / longest);
    pen.strokeStyle = colour("--muted");
    line(pen, ...origin, origin[0] + dx, origin[1] + dy);
    pen.fillStyle = colour("--ink");
    pen.fillText(name, origin[0] + 1.25 * dx, origin[1] + 1.25 * dy);
  });
}

function ring(pen, scatter, ink) {
  const [x, y] = scatter.whereIs(scatter.marked);
  if (!Number.isFinite(x) || !Number.isFinite(y)) return;
  pen.beginPath();
  pen.arc(x, y, 8, 0, 7);
  pen.strokeStyle = ink;
  pen.lineWidth = 2;
  pen.stroke();
}

function line(pen, x1, y1, x2, y2) {
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.lineTo(x2, y2);
  pen.stroke();
}

/** As much of a text as fits. */
function fitted(pen, text, width) {
  let kept = text;
  while (kept.length > 4 && pen.measureText(kept).width > width) kept = kept.slice(0, -5).trimEnd() + "…";
  return kept;
}
