/* How far the map can be trusted: its figures in plain words, and where it is worst. */
const MEANING = {
  trustworthiness: ["Trustworthiness", (map) => "whether items drawn close together are close in the space; low: clusters that are not there"],
  continuity: ["Continuity", (map) => "whether items close in the space are drawn close together; low: groups that were torn apart"],
  overlap: ["Neighbours kept", (map, value) => `of the ${map.k || "k"} nearest items on the map, ${number(value * (map.k || 1), 2)} are truly among the ${map.k || "k"} nearest`],
};

const grade = (value) => (value >= 0.95 ? "very high" : value >= 0.85 ? "high" : value >= 0.7 ? "moderate" : "low");

function trustMeter(figure, map, store) {
  const [title, meaning] = MEANING[figure.name] || [figure.name, () => ""];
  const colour = map.points[figure.name] ? `trust:${figure.name}` : null;
  return h("div", { class: "meter" },
    h("div", {}, h("b", {}, words(title, 40)), h("span", { class: "figure", title: statistic(figure) }, number(figure.value, 2)),
      figure.name === "overlap" ? null : h("span", { class: "grade" }, grade(figure.value))),
    h("span", { class: "track" }, h("i", { style: `width:${Math.min(Math.max(figure.value, 0), 1) * 100}%` }),
      figure.baseline === null || figure.baseline === undefined ? null : h("u", { style: `left:${Math.min(Math.max(figure.baseline, 0), 1) * 100}%`, title: `by chance ${number(figure.baseline)}` })),
    h("small", {}, meaning(map, figure.value)),
    colour ? button("Colour by it", () => store.set({ colour }), { class: "plain" }) : null);
}

function mountTrust(element, store, data, view) {
  const strip = h("details", { class: "trust" }), summary = h("summary", {}), content = h("div", {});
  strip.append(summary, content);
  element.append(strip);
  store.on(["camera"], () => {
    const map = view.current;
    if (!map || strip.dataset.map === map.name && map.name !== "axes") return;
    strip.dataset.map = map.name;
    store.set({ worst: [] });
    const short = map.trust.slice(0, 4).map((figure) => h("span", { class: "brief" }, words((MEANING[figure.name] || [figure.name])[0].toLowerCase(), 30), " ",
      h("b", {}, figure.name === "overlap" && map.k ? `${number(figure.value * map.k, 2)} of ${number(map.k)}` : number(figure.value, 2))));
    summary.replaceChildren(h("b", {}, "Can this map be trusted?"), ...(short.length ? short : [h("span", { class: "brief" }, map.axes ? map.measured ? "exact along its two axes" : "exact along its two axes, measuring the rest …" : "not measured")]));
    const exact = map.axes ? h("p", { class: "nothing" }, `Distances along the two axes are exact, and everything else is hidden: items that lie apart in other directions fall together here. ${map.measured ?? "Measuring …"}`) : "";
    const figures = map.trust.length ? map.trust.map((figure) => trustMeter(figure, map, store))
      : map.axes ? [] : [h("p", { class: "nothing" }, "Nobody has measured how faithful this map is: take distances on it with care.")];
    const worst = Object.keys(map.points).find((name) => name === "overlap") || Object.keys(map.points)[0];
    content.replaceChildren(map.about ? h("p", { class: "about" }, words(map.about, 300)) : "", exact, h("div", { class: "meters" }, figures),
      worst ? h("div", { class: "row" }, button("Mark the worst regions", () => store.set({ worst: store.get("worst").length ? [] : worstRegions(map, map.points[worst]) }), { title: `where ${worst} is lowest` }),
        button("Select the worst tenth", () => store.set({ selection: worstRows(map.points[worst], 0.1) }))) : "");
  }, true);
}

/* Rows with the lowest values, a share of all. */
function worstRows(values, share) {
  return ascending(values).slice(0, Math.max(1, Math.round(values.length * share))).sort((a, b) => a - b);
}

/* The squares of the map where the mean of some values is lowest: [{ x, y, radius, value, count }]. */
function worstRegions(map, values, most = 3, cells = 9) {
  const sums = new Map(), count = values.length, enough = Math.max(4, count / 400);
  for (let i = 0; i < count; i++) {
    const [x, y] = [map.places[i * map.dims], map.places[i * map.dims + 1]].map((v) => Math.min(cells - 1, Math.floor((v + 1) / 2 * cells)));
    const cell = sums.get(y * cells + x) || { value: 0, count: 0, x: 0, y: 0 };
    cell.value += values[i]; cell.count++; cell.x += map.places[i * map.dims]; cell.y += map.places[i * map.dims + 1];
    sums.set(y * cells + x, cell);
  }
  return [...sums.values()].filter((cell) => cell.count >= enough)
    .map((cell) => ({ x: cell.x / cell.count, y: cell.y / cell.count, radius: 1 / cells, value: cell.value / cell.count, count: cell.count }))
    .sort((a, b) => a.value - b.value).slice(0, most);
}

overlay((context, place, store, data, view) => {
  if (view.current.dims !== 2) return;
  for (const region of store.get("worst")) {
    const at = projected(Float32Array.of(region.x, region.y, region.x + region.radius, region.y), 2, view.surface.view, view.surface.size());
    context.setLineDash([5, 4]);
    ring(context, [at[0], at[1]], at[2] - at[0], token("--bad"), 1.8);
    context.setLineDash([]);
    context.fillStyle = token("--bad"); context.font = "600 12px system-ui, sans-serif";
    context.fillText(number(region.value, 2), at[0] - 12, at[1] - (at[2] - at[0]) - 6);
  }
});
