/* The table: every column as a histogram or bars that filter by a click or by dragging, and the items that are left. */
const ROWS_SHOWN = 60, CHARTS_SHOWN = 8, BARS_SHOWN = 12;

function columnChart(store, data, column) {
  const own = store.get("filters")[column.name] || null, others = maskOf(store, data, column.name), { visible } = store.get();
  const head = h("div", { class: "charthead" }, h("b", {}, words(column.group ? `${column.group}: ${column.label}` : column.label, 40)),
    own ? button("Show all", () => setFilter(store, column.name, null), { class: "plain" }) : null);
  if (!column.levels) {
    const range = binned(column.values, 1), ends = [range.low, range.high], steps = ends[1] - ends[0];
    const whole = steps < 64 && column.values.every((value) => Number.isInteger(value) || !Number.isFinite(value));
    const limits = whole ? [ends[0] - 0.5, ends[1] + 0.5] : ends, bins = whole ? steps + 1 : 30;
    const all = binned(column.values, bins, limits), now = binned(column.values, bins, limits, visible);
    if (!range.counts.length) return h("div", { class: "filter" }, head, h("p", { class: "nothing" }, "No item has a value."));
    const note = all.missing ? h("p", { class: "nothing" }, `${number(all.missing)} without a value.`) : null;
    return h("div", { class: "filter" }, head, histogram({
      layers: [{ counts: all.counts, colour: "var(--faint)" }, { counts: now.counts, colour: "var(--accent)" }], low: all.low, high: all.high, ends,
      title: shortened(`values of ${column.label}, from ${number(ends[0])} to ${number(ends[1])}; drag to filter`, 160), width: 200, height: 64, range: own?.range || null,
      onrange: (range) => setFilter(store, column.name, range ? { range } : null),
    }), note);
  }
  const counts = new Map(), left = new Map();
  column.values.forEach((value, row) => {
    if (others && !others[row]) return;
    left.set(value, (left.get(value) || 0) + 1);
  });
  column.values.forEach((value) => counts.set(value, (counts.get(value) || 0) + 1));
  if (column.kind === "text" && counts.size > 200) return h("div", { class: "filter" }, head, h("p", { class: "nothing" }, `${number(counts.size)} different texts: use the search above the map.`));
  const order = [...counts.keys()].sort((a, b) => (column.kind === "category" || column.kind === "date" ? a - b : counts.get(b) - counts.get(a) || a - b));
  const colours = store.get("colour") === `column:${column.name}` ? window.__lsgen.view.colours.entries : [];
  return h("div", { class: "filter" }, head, bars(order.map((value) => {
    const level = value < 0 ? null : column.levels[value];
    return { label: level === null ? "no value" : level === "" ? "(empty)" : level, value: counts.get(value), part: left.get(value) || 0, text: number(left.get(value) || 0),
      colour: colours?.find((entry) => entry.level === value)?.colour, on: own?.levels ? own.levels.includes(level) : undefined, onclick: () => toggleLevel(store, column.name, level) };
  }), BARS_SHOWN));
}

/* Rows in the order of a column, or of the page: those that are selected, else those that are shown. */
function rowsInOrder(store, data, order) {
  const { selection, visible } = store.get();
  const among = selection.length ? selection : Array.from({ length: data.count }, (_, row) => row);
  const rows = visible ? among.filter((row) => visible[row]) : among;
  const column = order.name && data.column(order.name);
  if (!column) return rows;
  const sign = order.down ? -1 : 1, gap = column.missing;
  return [...rows].sort((a, b) => gap(a) - gap(b) || sign * (column.values[a] - column.values[b]) || a - b);
}

function itemTable(store, data, order, columns, again) {
  const rows = rowsInOrder(store, data, order), shown = rows.slice(0, ROWS_SHOWN), focus = store.get("focus");
  const head = (name, label) => h("th", { scope: "col", "aria-sort": order.name === name ? (order.down ? "descending" : "ascending") : null },
    button(`${shortened(label, 18)}${order.name === name ? (order.down ? " ↓" : " ↑") : ""}`, () => again({ name, down: order.name === name && !order.down }), { class: "plain" }));
  const body = shown.map((row) => h("tr", { class: row === focus ? "looked" : null, tabindex: "0", onclick: () => store.set({ focus: row }),
    onkeydown: (event) => { if (event.key === "Enter") store.set({ focus: row }); }, onpointerenter: () => store.set({ hover: row }), onpointerleave: () => store.set({ hover: -1 }) },
  h("td", {}, h("span", { class: "who" }, data.pictures ? face(data, row, 26) : null, words(data.id(row), 24))), columns.map((column) => h("td", {}, words(column.text(row), 28)))));
  return [h("p", { class: "about" }, `${number(rows.length)} items${store.get("selection").length ? " of the selection" : ""}${rows.length > shown.length ? `, the first ${number(shown.length)} are listed` : ""}. Click a heading to sort.`),
    h("div", { class: "wide" }, h("table", { class: "items" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "item"), columns.map((column) => head(column.name, column.label)))), h("tbody", {}, body)))];
}

panel("table", {
  title: "Table",
  about: "Drag over a histogram or click a bar to keep only those items; the map, the charts and the list below follow.",
  mount(element, store, data) {
    const charts = h("div", { class: "filters" }), tools = h("div", { class: "row" }), list = h("div", {});
    let order = { name: "", down: false }, every = false;
    element.append(tools, charts, list);
    const draw = () => {
      const { filters, visible, search } = store.get(), any = Object.keys(filters).length || search;
      tools.replaceChildren(...[any ? button("Clear filters", () => store.set({ filters: {}, search: "" })) : null,
        visible ? button("Select what is shown", () => selectShown(store, data)) : null].filter(Boolean));
      const columns = every ? data.columns : data.columns.slice(0, CHARTS_SHOWN);
      charts.replaceChildren(...(data.columns.length ? columns.map((column) => columnChart(store, data, column)) : [h("p", { class: "nothing" }, "The codes have no columns.")]),
        data.columns.length > CHARTS_SHOWN ? button(every ? "Fewer columns" : `All ${number(data.columns.length)} columns`, () => { every = !every; draw(); }) : "");
      rows();
    };
    const rows = () => list.replaceChildren(...itemTable(store, data, order, data.columns.slice(0, every ? undefined : CHARTS_SHOWN), (next) => { order = next; rows(); }));
    store.on(["visible", "filters", "colour"], draw, true);
    store.on(["selection", "focus"], rows);
  },
});
