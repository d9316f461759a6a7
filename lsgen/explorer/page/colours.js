/* Colours that people with any kind of sight can tell apart: Okabe and Ito's, and more for classes beyond the eighth. */
const CLASSES = {
  light: ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#7b5fb0", "#a89b00", "#882255", "#33998c", "#40338f", "#7f7f2a"],
  dark: ["#4fa3e0", "#e69f00", "#1dbf93", "#e59ac4", "#8cd0f5", "#f07c3a", "#b497e7", "#f0e442", "#d9668f", "#6ed6c6", "#8f84e8", "#c9c95a"],
};
const OTHERS = { light: "#9aa3b0", dark: "#6b7585" };
/* Viridis: equal steps of lightness, so that it survives grey print and every kind of sight. */
const SCALE = ["#440154", "#482878", "#3e4a89", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"];
const PINS = { A: "#d55e00", B: "#0072b2", C: "#009e73" };
const STEPS = 64;

const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
const palette = () => CLASSES[isDark() ? "dark" : "light"];
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const hex = (parts) => "#" + parts.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("");

/* The colour at a place in [0, 1] of the scale for numbers. */
function onScale(share) {
  const at = Math.min(Math.max(share, 0), 1) * (SCALE.length - 1), low = Math.min(Math.floor(at), SCALE.length - 2);
  const [a, b] = [rgb(SCALE[low]), rgb(SCALE[low + 1])];
  return hex(a.map((part, i) => part + (b[i] - part) * (at - low)));
}

/* The sorted finite values of an array, of at most some thousand of them in equal steps. */
function sortedSample(values, most = 20000) {
  const step = Math.max(1, Math.floor(values.length / most)), kept = [];
  for (let i = 0; i < values.length; i += step) if (Number.isFinite(values[i])) kept.push(values[i]);
  return Float64Array.from(kept).sort();
}

/* Places of the values, smallest first, ties by the lower place. */
function ascending(values) {
  return Array.from(values.keys()).sort((a, b) => values[a] - values[b] || a - b);
}

const meanOf = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

/* How often points of a map lie near each other: a histogram on a grid, smoothed, between 0 and 1. */
function densityOf(places, dims, cells = 96) {
  const count = places.length / dims, grid = new Float32Array(cells * cells), at = new Int32Array(count);
  const cell = (value) => Math.min(cells - 1, Math.max(0, Math.floor((value + 1) / 2 * cells)));
  for (let i = 0; i < count; i++) {
    at[i] = cell(places[i * dims + 1]) * cells + cell(places[i * dims]);
    grid[at[i]] += 1;
  }
  const smooth = (from, step, size) => {
    const to = new Float32Array(from.length);
    for (let i = 0; i < from.length; i++) {
      const line = Math.floor(i / step) % cells;
      to[i] = from[i] * 2 + (line > 0 ? from[i - step] : 0) + (line < cells - 1 ? from[i + step] : 0);
    }
    return to;
  };
  let soft = grid;
  for (let round = 0; round < 3; round++) soft = smooth(smooth(soft, 1), cells);
  const values = Float32Array.from(at, (place) => Math.log1p(soft[place]));
  const most = values.reduce((a, b) => Math.max(a, b), 1e-9);
  return values.map((value) => value / most);
}

/* What points can be coloured by: [{ value, label, group }]. */
function colourings(data) {
  const options = [{ value: "none", label: "nothing", group: "" }];
  for (const column of data.columns)
    options.push({ value: `column:${column.name}`, label: column.label, group: column.group || "columns" });
  options.push({ value: "map:density", label: "density of the map", group: "the map" });
  for (const name of new Set(data.maps.flatMap((map) => Object.keys(map.points))))
    options.push({ value: `trust:${name}`, label: `${name} of the map here`, group: "the map" });
  return options;
}

/* The colouring of a key: for each row the number of its colour, the colours, and a legend.
   { kind: "classes" | "scale" | "plain", index: Uint8Array, colours, entries | range, column, note } */
function colouring(key, data, map) {
  const theme = isDark() ? "dark" : "light", count = data.count, plain = {
    kind: "plain", index: new Uint8Array(count), colours: [CLASSES[theme][0]], title: "", note: "",
  };
  const [source, name] = [key.slice(0, key.indexOf(":")), key.slice(key.indexOf(":") + 1)];
  if (source === "column") {
    const column = data.column(name);
    if (!column) return plain;
    return column.levels ? byClass(column, theme) : byAmount(column.values, theme, column.label, column);
  }
  if (source === "map") return byAmount(densityOf(map.places, map.dims), theme, "density of the map", null);
  if (source === "trust") {
    if (!map.points[name]) return { ...plain, title: name, note: `No ${name} was computed for this map.` };
    return byAmount(map.points[name], theme, `${name} of each point (1 is best)`, null, [0, 1]);
  }
  return plain;
}

function byClass(column, theme) {
  const counts = new Float64Array(column.levels.length), last = CLASSES[theme].length;
  for (const value of column.values) if (value >= 0) counts[value]++;
  const order = Array.from(counts.keys());
  if (order.length > last) order.sort((a, b) => counts[b] - counts[a] || a - b);
  const kept = order.slice(0, last), place = new Uint8Array(column.levels.length).fill(last);
  kept.forEach((level, i) => { place[level] = i; });
  const index = Uint8Array.from(column.values, (value) => (value < 0 ? last : place[value]));
  const entries = kept.map((level, i) => ({ label: column.levels[level], level, colour: CLASSES[theme][i], count: counts[level] }));
  return {
    kind: "classes", index, colours: [...CLASSES[theme], OTHERS[theme]], entries, column, title: column.label,
    note: order.length > last ? `${number(order.length - last)} further values are grey.` : "",
  };
}

function byAmount(values, theme, title, column, limits = null) {
  const sorted = sortedSample(values), inner = sorted.length > 50 ? 0.01 : 0;
  let [low, high] = limits || [sorted[Math.floor((sorted.length - 1) * inner)] ?? 0, sorted[Math.ceil((sorted.length - 1) * (1 - inner))] ?? 1];
  const one = low === high;
  if (one) high = low + 1;
  const index = Uint8Array.from(values, (value) =>
    Number.isNaN(value) ? STEPS : Math.min(STEPS - 1, Math.max(0, Math.floor((value - low) / (high - low) * STEPS))));
  const colours = Array.from({ length: STEPS }, (_, i) => onScale(i / (STEPS - 1)));
  return { kind: "scale", index, colours: [...colours, OTHERS[theme]], range: [low, one ? low : high], column, title, note: "" };
}
