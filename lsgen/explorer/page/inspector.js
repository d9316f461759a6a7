/* The inspector: one item, what is known of it, and the items nearest to it. */
function pinButtons(store, row) {
  return Object.keys(PINS).map((name) => button(`Pin ${name}`, () => setPin(store, name, store.get("pins")[name] === row ? -1 : row), {
    "aria-pressed": String(store.get("pins")[name] === row), class: "pin", style: `--pin:${PINS[name]}`, title: `mark this item as ${name} (key ${name.toLowerCase()} on the map)`,
  }));
}

function pinned(store, data) {
  const { pins } = store.get(), set = Object.entries(pins).filter(([, row]) => row >= 0);
  if (!set.length) return null;
  return h("div", { class: "pinned", "aria-label": "pinned items" }, set.map(([name, row]) => h("span", { class: "chip" },
    h("b", { style: `background:${PINS[name]}` }, name),
    h("button", { type: "button", class: "plain", onclick: () => store.set({ focus: row }) }, face(data, row, 22), words(data.id(row), 18)),
    button("×", () => setPin(store, name, -1), { class: "plain", "aria-label": `unpin ${name}` }))));
}

/* A row of pictures that are looked at by a click: entries [{ row, text }]. */
function filmstrip(store, data, entries, size = 56) {
  return h("div", { class: "film" }, entries.map(({ row, text }) => h("button", {
    type: "button", class: "frame", title: shortened(`item ${data.id(row)}`, 80), "aria-label": shortened(`look at item ${data.id(row)}, ${text}`, 120),
    onclick: () => store.set({ focus: row }), onpointerenter: () => store.set({ hover: row }), onpointerleave: () => store.set({ hover: -1 }),
  }, data.pictures && data.pictures.has(row) ? face(data, row, size) : words(data.id(row), 10, "b"), h("span", {}, text))));
}

function neighbourList(store, data, row) {
  if (!data.neighbours) return h("p", { class: "nothing" }, "Neighbours are not available, for the codes are not in this page.");
  const found = data.neighbours(row, store.get("k")), column = labelColumn(data, store);
  const same = column ? Array.from(found.index).filter((other) => column.values[other] === column.values[row]).length : 0;
  return [
    h("p", { class: "about" }, `Nearest in the space itself, by ${found.name || "distance"}, not on the map.`,
      column ? ` ${number(same)} of ${found.index.length} have the same ${shortened(column.label, 30)}.` : ""),
    filmstrip(store, data, Array.from(found.index, (other, i) => ({ row: other, text: number(found.distance[i]) })), 48),
  ];
}

/* The column that points are coloured by, if it holds classes. */
function labelColumn(data, store) {
  const name = String(store.get("colour")).replace(/^column:/, ""), column = data.column(name);
  return column && column.levels ? column : data.columns.find((entry) => entry.name === "label" && entry.levels) || null;
}

function columnTable(data, row) {
  const groups = new Map();
  for (const column of data.columns) groups.set(column.group, [...(groups.get(column.group) || []), column]);
  const { codes } = data, widths = codes?.scale ? codes.scale.subarray(row * codes.dim, (row + 1) * codes.dim) : null;
  const width = widths && h("table", { class: "known" }, h("tbody", {}, h("tr", {}, h("th", { scope: "row" }, "uncertainty of its code"),
    h("td", {}, `a standard deviation of ${number(meanOf(widths))}, on average over dimensions`))));
  const tables = [...groups].map(([name, columns]) => h("table", { class: "known" }, name && h("caption", {}, words(name, 40)),
    h("tbody", {}, columns.map((column) => h("tr", {}, h("th", { scope: "row" }, words(column.label, 30)), h("td", {}, words(column.text(row), 300)))))));
  return width ? [width, ...tables] : tables;
}

/* What somebody reads who opens the page for the first time, and items to begin with. */
function guide(store, data) {
  const dims = data.codes ? `${number(data.codes.full)} numbers` : "a few numbers", wanted = Math.min(data.count, 12);
  const rows = Array.from({ length: wanted }, (_, i) => Math.floor((i + 0.5) * data.count / wanted));
  return [h("ol", { class: "guide" },
    h("li", {}, `Each point of the map is one item. The model has described it by ${dims}, its code; items with like codes lie close together.`),
    h("li", {}, "A map flattens the codes and so distorts them. The line below it says how far it can be trusted; hovering over a point draws lines to the items that are truly nearest."),
    h("li", {}, "Hold Shift and draw around points to select them. The tabs above filter items, walk from one to another, and measure what sets groups apart.")),
  h("h3", {}, "Begin with one of these"), filmstrip(store, data, rows.map((row) => ({ row, text: shortened(data.id(row), 12) })), 52)];
}

panel("inspect", {
  title: "Item",
  about: "Click a point to see the item behind it, what the model makes of it, and the items it lies closest to.",
  mount(element, store, data) {
    function show() {
      const { focus: row } = store.get();
      if (row < 0) {
        element.replaceChildren(...[pinned(store, data), ...guide(store, data)].filter(Boolean));
        return;
      }
      const pictures = h("div", { class: "pair" },
        data.pictures && h("figure", {}, face(data, row, 132), h("figcaption", {}, data.pictures.has(row) ? "item" : "no picture here")),
        data.reconstructions && h("figure", {}, face(data, row, 132, "reconstructions"), h("figcaption", {}, "decoded from its code")));
      element.replaceChildren(...[pinned(store, data),
        h("div", { class: "which" }, h("h2", {}, words(data.id(row), 200)),
          h("span", { class: "steps" }, button("‹", () => store.set({ focus: stepped(store, data, -1) }), { "aria-label": "the item before" }),
            button("›", () => store.set({ focus: stepped(store, data, 1) }), { "aria-label": "the item after" }))),
        pictures, h("div", { class: "row" }, pinButtons(store, row)),
        h("div", { class: "which spaced" }, h("h3", {}, "True neighbours"), data.neighbours ? choice("how many neighbours",
          [5, 10, 20, 50].map((k) => ({ value: String(k), label: `${k} nearest` })), String(store.get("k")), (k) => store.set({ k: Number(k) })) : null),
        neighbourList(store, data, row),
        data.columns.length || data.codes?.scale ? h("h3", {}, "What is known of it") : null, columnTable(data, row)].flat().filter(Boolean));
    }
    store.on(["focus", "pins", "k", "colour"], show, true);
  },
});
