/* Charts as SVG: lines, histograms and bars. Each returns its element; sizes follow the room there is. */
function ticksOf(low, high, count) {
  const raw = (high - low) / count || 1, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999), found = [];
  for (let t = Math.ceil(low / step - 1e-9) * step; t <= high + step * 1e-9; t += step) found.push(Math.abs(t) < step * 1e-9 ? 0 : t);
  return found;
}

/* Lines over a common axis: series [{ name, x, y, colour, dashed, band: [low, high] }]; shaded: [[x0, x1]] are stretches
   that are tinted; from: where the upright axis begins at the latest. */
function lineChart({ series, title, xLabel, yLabel, shaded = [], from = null }) {
  const width = 400, height = 170, left = 48, right = 12, top = 10, bottom = 30;
  const finite = (values) => values.filter(Number.isFinite);
  const xs = finite(series.flatMap((s) => Array.from(s.x)));
  const ys = finite(series.flatMap((s) => [...Array.from(s.y), ...(s.band ? s.band.flatMap((side) => Array.from(side)) : [])]));
  const frame = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, class: "chart" });
  if (!xs.length || !ys.length) return h("p", { class: "nothing" }, "There is nothing to draw here.");
  let [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys, ...(from === null ? [] : [from])), Math.max(...ys)];
  if (x0 === x1) { x0 -= 1; x1 += 1; }
  if (y0 === y1) { y0 -= Math.abs(y0) * 0.1 || 1; y1 += Math.abs(y1) * 0.1 || 1; }
  const x = (v) => left + (v - x0) / (x1 - x0) * (width - left - right);
  const y = (v) => top + (y1 - v) / (y1 - y0) * (height - top - bottom);
  for (const t of ticksOf(y0, y1, 4)) frame.append(
    svg("line", { class: "rule", x1: left, x2: width - right, y1: y(t), y2: y(t) }),
    svg("text", { x: left - 6, y: y(t) + 4, "text-anchor": "end" }, number(t)));
  for (const t of ticksOf(x0, x1, 6)) frame.append(svg("text", { x: x(t), y: height - 14, "text-anchor": "middle" }, number(t)));
  frame.append(svg("text", { class: "axis", x: (left + width - right) / 2, y: height - 2, "text-anchor": "middle" }, shortened(xLabel, 50)),
    svg("text", { class: "axis", x: 2, y: 9 }, shortened(yLabel, 50)));
  for (const [a, b] of shaded) frame.append(svg("rect", { class: "shaded", x: x(a), y: top, width: Math.max(x(b) - x(a), 2), height: height - top - bottom }));
  const colourOf = (s, i) => s.colour || palette()[i % 12];
  series.forEach((s, i) => {
    const colour = colourOf(s, i);
    const path = (side) => Array.from(s.x, (v, j) => [x(v), y(side[j])]).filter((p) => p.every(Number.isFinite));
    if (s.band) frame.append(svg("polygon", { fill: colour, opacity: 0.15, points: [...path(s.band[0]), ...path(s.band[1]).reverse()].map((p) => p.map((v) => v.toFixed(1)).join()).join(" ") }));
    const places = path(s.y);
    frame.append(svg("polyline", { fill: "none", stroke: colour, "stroke-width": 2, "stroke-dasharray": s.dashed ? "5 4" : null, "stroke-linejoin": "round",
      points: places.map((p) => p.map((v) => v.toFixed(1)).join()).join(" ") }, svg("title", {}, shortened(s.name || "", 80))));
    if (places.length < 40) for (const [cx, cy] of places) frame.append(svg("circle", { cx, cy, r: 2.6, fill: colour }));
  });
  const named = series.filter((s) => s.name);
  const legend = named.length > 1 && h("div", { class: "legend" }, named.map((s) => h("span", {},
    h("i", { style: `background:${colourOf(s, series.indexOf(s))}` }), words(s.name, 30))));
  return h("figure", { class: "chartbox" }, legend, frame);
}

/* Counts of values in equal bins: { counts, low, high }. Values that are not finite are left out and counted. */
function binned(values, bins = 30, limits = null, keep = null) {
  let low = Infinity, high = -Infinity, missing = 0;
  if (limits) [low, high] = limits;
  else for (const value of values) if (Number.isFinite(value)) { if (value < low) low = value; if (value > high) high = value; }
  if (!(low <= high)) return { counts: [], low: 0, high: 1, missing: values.length };
  const counts = new Array(bins).fill(0), width = (high - low) / bins || 1;
  for (let i = 0; i < values.length; i++) {
    const value = values[i];
    if (!Number.isFinite(value)) { missing++; continue; }
    if (keep && !keep[i]) continue;
    const at = Math.floor((value - low) / width);
    if (value >= low && value <= high) counts[Math.min(Math.max(at, 0), bins - 1)]++;
  }
  return { counts, low, high, missing };
}

/* A histogram of sets of counts over one range: layers [{ counts, colour, name }] stand in front of each other.
   With onrange, dragging over it gives [low, high], and a click or double click null. */
function histogram({ layers, low, high, ends = [low, high], title, width = 400, height = 90, range = null, onrange = null, marks = [] }) {
  const bottom = 16, inner = height - bottom, most = Math.max(1, ...layers.flatMap((layer) => layer.counts));
  const frame = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": title, class: onrange ? "chart pick" : "chart" });
  for (const layer of layers) layer.counts.forEach((count, i) => {
    if (!count) return;
    const wide = width / layer.counts.length, tall = Math.max(count / most * (inner - 4), 1);
    frame.append(svg("rect", { x: i * wide + 0.5, width: Math.max(wide - 1, 0.5), y: inner - tall, height: tall, fill: layer.colour }));
  });
  frame.append(svg("line", { class: "rule", x1: 0, x2: width, y1: inner, y2: inner }));
  frame.append(svg("text", { x: 0, y: height - 3 }, number(ends[0])), svg("text", { x: width, y: height - 3, "text-anchor": "end" }, number(ends[1])));
  const place = (value) => (value - low) / (high - low || 1) * width;
  for (const mark of marks) frame.append(svg("line", { class: "mark", x1: place(mark.x), x2: place(mark.x), y1: 0, y2: inner }),
    svg("text", { x: Math.min(Math.max(place(mark.x), 14), width - 14), y: height - 3, "text-anchor": "middle" }, shortened(mark.label || "", 16)));
  if (range) frame.append(svg("rect", { class: "brush", x: place(range[0]), y: 0, width: Math.max(place(range[1]) - place(range[0]), 2), height: inner }));
  if (onrange) brush(frame, width, inner, (a, b) => onrange(a === null ? null : [low + a * (high - low), low + b * (high - low)]));
  return frame;
}

function brush(frame, width, height, done) {
  let from = null, shown = null;
  const share = (event) => {
    const box = frame.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  };
  frame.addEventListener("pointerdown", (event) => {
    from = share(event);
    frame.setPointerCapture(event.pointerId);
    shown = svg("rect", { class: "brush", y: 0, height, x: from * width, width: 0 });
    frame.append(shown);
  });
  frame.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const to = share(event);
    shown.setAttribute("x", Math.min(from, to) * width);
    shown.setAttribute("width", Math.abs(to - from) * width);
  });
  frame.addEventListener("pointerup", (event) => {
    if (from === null) return;
    const to = share(event), start = from;
    from = null;
    shown.remove();
    if (Math.abs(to - start) < 0.01) done(null, null); else done(Math.min(start, to), Math.max(start, to));
  });
}

/* Bars with names: items [{ label, value, part, text, colour, on, onclick }]; part is the share of the value that is full. */
function bars(items, most) {
  const largest = Math.max(...items.map((item) => item.value), 1e-12);
  const shown = items.slice(0, most).map((item) => h(item.onclick ? "button" : "div", {
    class: item.on === false ? "bar off" : "bar", type: item.onclick ? "button" : null, onclick: item.onclick || null,
    "aria-pressed": item.onclick && item.on !== undefined ? String(Boolean(item.on)) : null,
  }, words(item.label, 28), h("span", { class: "track" },
    h("i", { style: `width:${(item.value / largest * 100).toFixed(1)}%;${item.colour ? `background:${item.colour};` : ""}opacity:.28` }),
    h("i", { style: `width:${((item.part ?? item.value) / largest * 100).toFixed(1)}%;${item.colour ? `background:${item.colour}` : ""}` })),
  h("span", { class: "value" }, item.text ?? number(item.value))));
  if (items.length > most) shown.push(h("p", { class: "nothing" }, `${number(items.length - most)} more are not listed.`));
  return h("div", { class: "bars" }, shown);
}

/* A table: heads and rows of text, numbers, statistics ({ statistic }) or elements. */
function tableOf(heads, rows) {
  const cell = (entry) => entry instanceof Node ? h("td", {}, entry)
    : entry !== null && typeof entry === "object" && entry.statistic ? h("td", { class: "amount", title: statistic(entry.statistic) }, statistic(entry.statistic))
    : typeof entry === "number" ? h("td", { class: "amount" }, number(entry))
    : h("td", {}, entry === null || entry === undefined ? "—" : words(entry, 160));
  return h("div", { class: "wide" }, h("table", {},
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, words(head, 40))))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map(cell))))));
}
