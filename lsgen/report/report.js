"use strict";
const SVG = "http://www.w3.org/2000/svg";
const W = 420, H = 190, LEFT = 46, RIGHT = 10, TOP = 8, BOTTOM = 22;

function node(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (parent) parent.append(made);
  return made;
}

function html(name, text, parent) {
  const made = document.createElement(name);
  made.textContent = text;
  parent.append(made);
  return made;
}

function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return +(value / 1e6).toFixed(2) + "M";
  if (size >= 1e4) return +(value / 1e3).toFixed(1) + "k";
  if (size !== 0 && size < 1e-3) return value.toExponential(1);
  return String(+value.toPrecision(4));
}

function ticks(low, high, count) {
  const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const found = [];
  for (let t = Math.ceil(low / step) * step; t <= high + step * 1e-9; t += step) found.push(Math.abs(t) < step * 1e-9 ? 0 : t);
  return found;
}

/* The range that holds 98 of 100 points: the first steps of a run would flatten all others. */
function limits(values) {
  const sorted = [...values].sort((a, b) => a - b), last = sorted.length - 1;
  let low = sorted[Math.floor(last * 0.01)], high = sorted[Math.ceil(last * 0.99)];
  if (last < 40) { low = sorted[0]; high = sorted[last]; }
  if (low === high) { const pad = Math.abs(low) * 0.1 || 1; return [low - pad, high + pad]; }
  const pad = (high - low) * 0.06;
  return [low - pad, high + pad];
}

function draw(figure, chart, number) {
  const caption = html("figcaption", "", figure);
  html("b", chart.title, caption);
  html("small", chart.unit, caption);
  const legend = html("span", "", caption);
  legend.className = "legend";
  const xs = chart.series.flatMap((s) => s.points.map((p) => p[0]));
  const ys = chart.series.flatMap((s) => s.points.map((p) => p[1]));
  let [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  if (x0 === x1) { x0 -= 1; x1 += 1; }
  const [y0, y1] = limits(ys);
  const x = (v) => LEFT + (v - x0) / (x1 - x0) * (W - LEFT - RIGHT);
  const y = (v) => TOP + (y1 - v) / (y1 - y0) * (H - TOP - BOTTOM);
  const svg = node("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": chart.title }, figure);
  const clip = node("clipPath", { id: `clip${number}` }, svg);
  node("rect", { x: LEFT, y: TOP - 3, width: W - LEFT - RIGHT + 3, height: H - TOP - BOTTOM + 6 }, clip);
  for (const t of ticks(y0, y1, 5)) {
    node("line", { class: "rule", x1: LEFT, x2: W - RIGHT, y1: y(t), y2: y(t) }, svg);
    node("text", { x: LEFT - 6, y: y(t) + 4, "text-anchor": "end" }, svg).textContent = short(t);
  }
  for (const t of ticks(x0, x1, 6))
    node("text", { x: x(t), y: H - 6, "text-anchor": "middle" }, svg).textContent = short(t);
  const lines = node("g", { "clip-path": `url(#clip${number})` }, svg);
  const colour = (i) => `var(--s${(chart.series[i].colour ?? i) % 8})`;
  chart.series.forEach((s, i) => {
    const path = s.points.map((p, j) => `${j ? "L" : "M"}${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}`).join("");
    node("path", { d: path, fill: "none", stroke: colour(i), "stroke-width": 1.8, "stroke-linejoin": "round" }, lines);
    if (s.points.length < 25)
      for (const p of s.points) node("circle", { cx: x(p[0]), cy: y(p[1]), r: 2.4, fill: colour(i) }, lines);
  });
  const cursor = node("line", { class: "cursor", y1: TOP, y2: H - BOTTOM, visibility: "hidden" }, svg);

  function tell(at) {
    legend.replaceChildren();
    if (at !== null) html("span", `step ${short(at)}`, legend);
    if (chart.series.length === 1 && at === null) return;
    const first = (s, i, all) => !s.group || all.findIndex((other) => other.group === s.group) === i;
    const listed = at === null ? chart.series.filter(first) : chart.series;
    listed.slice(0, 12).forEach((s) => {
      const entry = html("span", "", legend), mark = html("i", "", entry);
      mark.style.background = colour(chart.series.indexOf(s));
      entry.append((at === null && s.group || s.name) + " ");
      if (at !== null) {
        const near = s.points.reduce((a, b) => Math.abs(b[0] - at) < Math.abs(a[0] - at) ? b : a);
        html("b", short(near[1]), entry);
      }
    });
  }
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = x0 + ((event.clientX - box.left) / box.width * W - LEFT) / (W - LEFT - RIGHT) * (x1 - x0);
    const inside = Math.min(x1, Math.max(x0, at));
    const near = xs.reduce((a, b) => Math.abs(b - inside) < Math.abs(a - inside) ? b : a);
    cursor.setAttribute("x1", x(near));
    cursor.setAttribute("x2", x(near));
    cursor.setAttribute("visibility", "visible");
    tell(near);
  });
  svg.addEventListener("pointerleave", () => { cursor.setAttribute("visibility", "hidden"); tell(null); });
  tell(null);
}

document.querySelectorAll(".chart").forEach((figure) => {
  const number = Number(figure.dataset.chart), folded = figure.closest("details");
  const once = () => { if (!figure.firstChild) draw(figure, CHARTS[number], number); };
  if (folded) folded.addEventListener("toggle", once); else once();
});

document.querySelectorAll(".media").forEach((figure) => {
  const slider = figure.querySelector("input"), pictures = [...figure.querySelectorAll("img")];
  if (slider) slider.addEventListener("input", () => {
    pictures.forEach((picture, i) => { picture.hidden = i !== Number(slider.value); });
    figure.querySelector("output").textContent = `step ${Number(pictures[slider.value].dataset.step).toLocaleString("en")}`;
  });
});

const zoom = document.getElementById("zoom");
document.querySelectorAll(".pictures img").forEach((picture) => picture.addEventListener("click", () => {
  zoom.firstElementChild.src = picture.src;
  zoom.showModal();
}));
zoom.addEventListener("click", () => zoom.close());

document.querySelectorAll('input[type="search"]').forEach((field) => field.addEventListener("input", () => {
  const wanted = field.value.toLowerCase();
  field.parentElement.querySelectorAll("table.keys tr").forEach((row, i) => {
    row.hidden = i > 0 && !row.cells[0].textContent.toLowerCase().includes(wanted);
  });
}));

document.documentElement.dataset.ready = "true";
