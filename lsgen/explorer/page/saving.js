/* Keeping what was found: the state as a file and an address, the map as a picture, notes, and what the page cannot do. */

/* The map as it is seen, as a canvas of twice its pixels on the background of the page. */
function picture(view) {
  const [width, height] = view.surface.size(), ratio = 2, canvas = document.createElement("canvas");
  canvas.width = width * ratio; canvas.height = height * ratio;
  const context = canvas.getContext("2d");
  context.fillStyle = token("--stage");
  context.fillRect(0, 0, canvas.width, canvas.height);
  view.surface.now?.();
  view.over_();
  for (const layer of [view.surface.canvas, view.over]) context.drawImage(layer, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/* The map as it is seen, as SVG: points, pins and a legend; a sentence where there are too many points. */
function vectorPicture(view, store, data, most = 30000) {
  const [width, height] = view.surface.size(), at = view.surface.all(), { visible, selection, pins } = store.get(), { colours } = view;
  const chosen = selection.length ? new Set(selection) : null, size = pointSize(data.count, view.surface.view.scale) / 2, rows = [];
  for (let i = 0; i < data.count; i++) {
    if ((visible && !visible[i]) || at[2 * i] < 0 || at[2 * i + 1] < 0 || at[2 * i] > width || at[2 * i + 1] > height) continue;
    rows.push(i);
    if (rows.length > most) return `More than ${number(most)} points are in view: keep the map as PNG, or zoom in.`;
  }
  const frame = svg("svg", { xmlns: SVG, viewBox: `0 0 ${width} ${height}`, width, height, "font-family": "sans-serif", "font-size": 12 },
    svg("title", {}, shortened(data.title, 200)), svg("rect", { width, height, fill: token("--stage") }));
  for (const i of rows) frame.append(svg("circle", { cx: at[2 * i].toFixed(1), cy: at[2 * i + 1].toFixed(1), r: size.toFixed(1),
    fill: colours.colours[colours.index[i]], "fill-opacity": chosen && !chosen.has(i) ? 0.12 : 0.85 }));
  for (const one of contoursOf(view)?.lines ?? []) {
    const strokes = [];
    eachPiece(view, one, (...ends) => { const [a, b, c, d] = ends.map((value) => value.toFixed(1)); strokes.push(`M${a} ${b}L${c} ${d}`); });
    frame.append(svg("path", { d: strokes.join(""), fill: "none", stroke: token("--ink"), "stroke-opacity": 0.75, "stroke-width": one.width }, svg("title", {}, `${100 * one.share}% of the items`)));
  }
  for (const [name, row] of Object.entries(pins)) if (row >= 0) frame.append(
    svg("circle", { cx: at[2 * row], cy: at[2 * row + 1], r: 6, fill: "none", stroke: PINS[name], "stroke-width": 2 }),
    svg("text", { x: at[2 * row] + 9, y: at[2 * row + 1] - 6, fill: PINS[name], "font-weight": 700 }, name));
  (colours.entries || []).forEach((entry, i) => frame.append(svg("circle", { cx: 14, cy: 16 + 17 * i, r: 5, fill: entry.colour }),
    svg("text", { x: 24, y: 20 + 17 * i, fill: token("--ink") }, shortened(entry.label, 40))));
  return new XMLSerializer().serializeToString(frame);
}

const KEYS = [["arrows", "move the map, or turn it"], ["+ − 0", "zoom in, zoom out, show all"], ["n p", "next and previous item"], ["a b c", "pin the item as A, B or C"],
  ["Shift and drag", "select by drawing around"], ["Ctrl and click", "add an item to the selection"], ["Esc", "select nothing"]];

panel("save", {
  title: "Save",
  about: "Keep what you found: the file brings this view back here, and its items into Python.",
  mount(element, store, data) {
    const view = window.__lsgen.view, said = h("p", { class: "nothing" }), file = h("input", { type: "file", accept: ".json,application/json", class: "hidden", "aria-label": "a state that was saved" });
    file.addEventListener("change", async () => {
      try {
        said.textContent = imported(store, data, JSON.parse(await file.files[0].text())) || "The state was read.";
      } catch (error) {
        said.textContent = `This file is no JSON: ${shortened(error.message, 120)}.`;
      }
      file.value = "";
    });
    const notes = h("textarea", { rows: 4, placeholder: "notes, kept with the state", "aria-label": "notes", value: store.get("notes"), oninput: later(() => store.set({ notes: notes.value }), 300) });
    const counted = h("p", { class: "about" }), address = h("p", { class: "nothing" });
    store.on(["selection", "groups", "pins"], () => {
      const { selection, groups } = store.get();
      counted.textContent = `It holds ${number(selection.length)} selected ${selection.length === 1 ? "item" : "items"} and ${number(groups.length)} ${groups.length === 1 ? "group" : "groups"}.`;
      address.textContent = data.homeless ? "Inside another page this one has no address of its own: the file holds the state." : tooLong(store, data) ? "So many items do not fit into the address of the page: the file holds them." : "The address of this page holds the same: bookmark it.";
    }, true);
    store.on(["notes"], () => { if (document.activeElement !== notes) notes.value = store.get("notes"); });
    element.append(h("div", { class: "row" },
      button("Save the state", () => download(`${fileName(data, "state")}.json`, JSON.stringify(exported(store, data), null, 1), "application/json"), { class: "on" }),
      button("Open a state", () => file.click()), file), said, counted, address,
    h("pre", {}, "from lsgen.explorer import read_selection\nchosen = codes.select(ids=read_selection(\"FILE.json\"))"),
    h("h3", {}, "Notes"), notes,
    h("h3", {}, "The map as a picture"), h("div", { class: "row" },
      button("PNG", () => picture(view).toBlob((blob) => download(`${fileName(data, "map")}.png`, blob))),
      button("SVG", () => { const made = vectorPicture(view, store, data); if (made.startsWith("<")) download(`${fileName(data, "map")}.svg`, made, "image/svg+xml"); else announce(made); })),
    h("h3", {}, "Keys on the map"), h("table", {}, h("tbody", {}, KEYS.map(([key, what]) => h("tr", {}, h("th", { scope: "row" }, key), h("td", {}, what))))),
    h("h3", {}, "What this page cannot do"), h("ul", { class: "limits" }, [...limitsOf(data), "It computes no new projection: maps are made in Python, and two axes of the codes here.",
      "It changes no data: filters, groups and notes live in its state."].map((text) => h("li", {}, text))));
  },
});
