/* Tables of scores with their intervals and what chance or the plainest method gives; curves where a table has some. */
panel("scores", {
  title: "Scores",
  about: "Figures of this space with their intervals and the level of chance; every table can be copied.",
  when: (data) => data.tables.length > 0 || "No scores were computed for this page. lsgen analyse computes them.",
  mount: mountScores,
});

function mountScores(element, store, data) {
  for (const table of data.tables) {
    const curve = curveIn(table), part = h("section", { class: "scores" }, h("h3", {}, words(table.title, 80)), table.about ? words(table.about, 400, "p") : null, curve);
    part.append(tableOf(table.columns, table.rows), h("div", { class: "row" },
      button("copy as CSV", () => copied(asCsv(table), part, data)), button("copy as LaTeX", () => copied(asLatex(table), part, data))));
    element.append(part);
  }
}

/* Whole figures of an entry: value, ends of the interval, chance, n. */
function entryParts(entry) {
  if (entry === null || entry === undefined) return [""];
  if (typeof entry !== "object") return [entry];
  const { value, interval, baseline, n } = entry.statistic;
  return [value, interval ? interval[0] : "", interval ? interval[1] : "", baseline ?? "", n];
}

function statistics(table, column) { return table.rows.some((row) => row[column] !== null && typeof row[column] === "object"); }

function asCsv(table) {
  const quoted = (value) => {
    const text = typeof value === "string" && /^[=+@\t\r-]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const heads = table.columns.flatMap((name, i) => (statistics(table, i) ? [name, `${name} low`, `${name} high`, `${name} chance`, `${name} n`] : [name]));
  const line = (row) => row.flatMap((entry, i) => {
    const parts = entryParts(entry);
    return statistics(table, i) ? [...parts, ...Array(5 - parts.length).fill("")] : parts;
  });
  return [heads, ...table.rows.map(line)].map((row) => row.map(quoted).join(",")).join("\n") + "\n";
}

function asLatex(table) {
  const signs = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}" };
  const escaped = (text) => String(text).replace(/[\\~^]|[&%$#_{}]/g, (sign) => signs[sign] ?? `\\${sign}`);
  const shown = (entry) => {
    if (entry === null || entry === undefined) return "--";
    if (typeof entry === "number") return plain(entry);
    if (typeof entry !== "object") return escaped(entry);
    const { value, interval } = entry.statistic;
    return interval ? `${plain(value)} [${plain(interval[0])}, ${plain(interval[1])}]` : plain(value);
  };
  const plain = (value) => (value === null ? "--" : `$${Number(value.toPrecision(3))}$`);
  const numeric = table.columns.map((_, i) => table.rows.every((row) => row[i] === null || typeof row[i] !== "string"));
  const rows = table.rows.map((row) => `${row.map(shown).join(" & ")} \\\\`);
  return [`\\begin{tabular}{${numeric.map((is) => (is ? "r" : "l")).join("")}}`, "\\toprule", `${table.columns.map(escaped).join(" & ")} \\\\`, "\\midrule", ...rows, "\\bottomrule", "\\end{tabular}", ""].join("\n");
}

async function copied(text, part, data) {
  engineOf(data).shown.copied = text;
  part.querySelector("textarea")?.remove();
  try {
    await navigator.clipboard.writeText(text);
    announce("Copied.");
  } catch (refused) {
    const area = h("textarea", { rows: 6, "aria-label": "text to copy", readonly: true });
    area.value = text;
    part.append(area);
    area.select();
    announce("This browser lets no page copy: the text is selected below.");
  }
}

/* A curve of each method over the amount of labels or of anything else that is a number in a column before its scores. */
function curveIn(table) {
  const across = table.columns.findIndex((_, i) => table.rows.every((row) => typeof row[i] === "number") && new Set(table.rows.map((row) => row[i])).size >= 3);
  const score = table.columns.findIndex((_, i) => i > across && table.rows.every((row) => row[i] === null || typeof row[i] === "object") && statistics(table, i));
  if (across < 0 || score < 0) return null;
  const method = table.columns.findIndex((_, i) => i !== across && table.rows.every((row) => typeof row[i] === "string")), series = new Map();
  for (const row of table.rows) {
    if (row[score] === null) continue;
    const name = method < 0 ? table.columns[score] : row[method];
    if (!series.has(name)) series.set(name, []);
    series.get(name).push([row[across], row[score].statistic]);
  }
  if (![...series.values()].some((points) => new Set(points.map(([x]) => x)).size >= 3)) return null;
  const xs = [...series.values()].flat().map(([x]) => x), logarithmic = Math.min(...xs) > 0 && Math.max(...xs) >= 10 * Math.min(...xs);
  const lines = [...series].map(([name, points]) => {
    points.sort((p, q) => p[0] - q[0]);
    const banded = points.every(([, figure]) => figure.interval);
    return { name, x: points.map(([x]) => (logarithmic ? Math.log10(x) : x)), y: points.map(([, figure]) => figure.value), band: banded ? [0, 1].map((side) => points.map(([, figure]) => figure.interval[side])) : null };
  });
  return lineChart({ title: `${table.columns[score]} over ${table.columns[across]}`, series: lines, xLabel: `${logarithmic ? "log10 of " : ""}${table.columns[across]}`, yLabel: table.columns[score] });
}
