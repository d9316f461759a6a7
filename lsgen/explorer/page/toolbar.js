/* Above the map: which projection, which colours, how to select, what to look for. */
function mountToolbar(element, store, data, view) {
  const axes = h("span", { class: "axispick" }), hits = h("span", { class: "hits" });
  const maps = [...data.maps.map((map) => ({ value: map.name, label: map.name })), ...(data.codes ? [{ value: "axes", label: "two axes of your choice" }] : [])];
  const map = choice("map", maps, store.get("map"), (value) => store.set({ map: value, axes: store.get("axes") || firstAxes(data) }));
  const colour = choice("colour", colourings(data), store.get("colour"), (value) => store.set({ colour: value }));
  const tools = [["pan", "Move", "drag to move, or turn a map of three dimensions"], ["box", "Box", "drag a box to select what lies in it"], ["lasso", "Lasso", "draw around items to select them; Shift does the same at any time"]]
    .map(([tool, label, title]) => button(label, () => store.set({ tool }), { title, "data-tool": tool }));
  const search = h("input", { type: "search", placeholder: "find text or /pattern/", "aria-label": "show only items whose id or text matches", value: store.get("search") });
  search.addEventListener("input", later(() => store.set({ search: search.value }), 200));
  search.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    store.set({ search: search.value });
    queueMicrotask(() => queueMicrotask(() => selectShown(store, data)));
  });
  const flags = [["thumbnails", data.pictures ? "pictures when zoomed" : "names when zoomed"], ["lines", "lines to true neighbours"], ["contours", "density contours"]].filter(([key]) => ({ lines: data.neighbours, thumbnails: data.pictures || data.named, contours: true })[key])
    .map(([key, label]) => h("label", {}, h("input", { type: "checkbox", checked: store.get(key), onchange: (event) => store.set({ [key]: event.target.checked }) }), label));
  element.append(h("label", {}, "Map", map), axes, h("label", {}, "Colour", colour), h("span", { class: "tools", role: "group", "aria-label": "what dragging does" }, tools),
    h("span", { class: "tools", role: "group", "aria-label": "zoom" }, button("−", () => view.surface.zoom(1 / 1.4), { "aria-label": "zoom out" }),
      button("+", () => view.surface.zoom(1.4), { "aria-label": "zoom in" }), button("Fit", () => view.surface.fit(), { title: "show all (key 0)" })),
    h("span", { class: "find" }, search, hits), h("span", { class: "flags" }, flags));

  store.on(["map", "axes", "pins", "groups"], () => {
    map.value = data.maps.some((entry) => entry.name === store.get("map")) || store.get("map") === "axes" ? store.get("map") : map.options[0].value;
    if (store.get("map") !== "axes" || !data.codes) { axes.replaceChildren(); return; }
    const chosen = store.get("axes") || firstAxes(data), options = axisChoices(data, store);
    axes.replaceChildren(...["x", "y"].map((side) => h("label", {}, side === "x" ? "→" : "↑",
      choice(`axis ${side}`, options, chosen[side], (value) => store.set({ axes: { ...chosen, [side]: value } })))));
  }, true);
  store.on(["colour"], () => {
    colour.value = store.get("colour");
    if (colour.selectedIndex < 0) store.set({ colour: "none" });
  }, true);
  store.on(["tool"], () => { for (const one of tools) one.setAttribute("aria-pressed", String(one.dataset.tool === store.get("tool"))); }, true);
  store.on(["search", "visible"], () => {
    const test = matcher(store.get("search")), { visible } = store.get();
    if (document.activeElement !== search) search.value = store.get("search");
    hits.textContent = typeof test === "string" ? test : visible ? `${number(sumOf(visible))} of ${number(data.count)} shown` : "";
    hits.classList.toggle("wrong", typeof test === "string");
  }, true);
}

const firstAxes = (data) => ({ x: "dimension:0", y: `dimension:${Math.min(1, data.codes.dim - 1)}` });

/* Select all that is shown. */
function selectShown(store, data) {
  const { visible } = store.get();
  if (!visible) return;
  store.set({ selection: rowsIn(visible) });
  announce(`${number(store.get("selection").length)} items are selected.`);
}

/* Below the map: what the colours mean, what is selected. */
function mountLegend(element, store, data, view) {
  const legend = h("div", { class: "key" }), dense = h("p", { class: "key nothing dense", hidden: true }), chosen = h("div", { class: "chosen" });
  element.append(legend, dense, chosen);
  store.on(["contours", "camera", "visible"], () => {
    const made = store.get("contours") && view.current ? contoursOf(view) : null;
    dense.hidden = !store.get("contours");
    dense.textContent = made ? made.words : view.current?.dims === 3 ? "Contours are drawn on maps of two dimensions." : "These items have no density to draw: they lie on one line, or are too few.";
  }, true);
  store.on(["colour", "camera", "filters"], () => {
    const { colours } = view;
    if (!colours) return;
    legend.replaceChildren();
    if (colours.title) legend.append(h("b", {}, words(colours.title, 40)));
    if (colours.kind === "classes") {
      const on = store.get("filters")[colours.column.name]?.levels;
      for (const entry of colours.entries) legend.append(h("button", { type: "button", class: "entry", "aria-pressed": on ? String(on.includes(entry.label)) : "false",
        title: "show only this", onclick: () => toggleLevel(store, colours.column.name, entry.label) },
      h("i", { style: `background:${entry.colour}` }), words(entry.label === "" ? "(empty)" : entry.label, 24), h("small", {}, number(entry.count))));
    } else if (colours.kind === "scale") {
      const stops = Array.from({ length: 12 }, (_, i) => colours.colours[Math.floor(i / 11 * (STEPS - 1))]);
      legend.append(h("span", { class: "ramp" }, number(colours.range[0]), h("i", { style: `background:linear-gradient(90deg,${stops.join()})` }), number(colours.range[1])));
    }
    if (data.colour.about && store.get("colour") === `column:${data.colour.column}`) legend.append(h("small", { class: "nothing" }, words(data.colour.about, 200)));
  }, true);
  store.on(["selection", "groups"], () => {
    const { selection, groups } = store.get();
    chosen.replaceChildren(...(selection.length ? [h("b", {}, `${number(selection.length)} selected`),
      button("Make a group", () => store.set({ groups: [...groups, { name: groupName(groups), rows: selection }], selection: [] }), { title: "keep these items as a group, to measure what sets them apart" }),
      button("Clear", () => store.set({ selection: [] }))] : []));
  }, true);
}

function groupName(groups) {
  for (let i = 1; ; i++) if (!groups.some((group) => group.name === `group ${i}`)) return `group ${i}`;
}
