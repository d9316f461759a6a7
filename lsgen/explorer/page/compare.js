/* Two to four spaces of the same items: which neighbours an item keeps, which items moved most, one selection in all. */
const MOST_COMPARED = 1000;

panel("compare", {
  title: "Compare",
  about: "The same items in other spaces: who keeps their neighbours, who moved, and where your selection lies in each.",
  when: (data) => {
    if (!data.spaceNames.length) return "This page holds one space. lsgen explore RUN --compare RUN2 adds others of the same items.";
    return data.count >= 3 || "Neighbours need at least three items, and this page has fewer.";
  },
  mount: mountCompare,
});

async function mountCompare(element, store, data) {
  const engine = engineOf(data), comparison = comparisonNumerics();
  element.append(h("p", { class: "said" }, "Reading the other spaces …"));
  const spaces = (await data.spaces()).slice(0, 3);
  const measured = spaces.map((space) => {
    if (!space.codes) return { problem: `The page holds no codes of ${shortened(space.name, 40)}.` };
    try { return { space: engine.search.space(space.codes.values, data.count, space.codes.dim, space.codes.manifold) }; } catch (error) { return { problem: error.message }; }
  });
  const said = h("p", { class: "said", "aria-live": "polite" }), maps = h("div", { class: "maps" }), result = h("div");
  let which = 0, turn = 0;
  const picker = choice("space to compare with", spaces.map((space, i) => ({ value: String(i), label: space.name })), "0", (value) => { which = Number(value); show(); });
  element.replaceChildren(h("div", { class: "row" }, h("label", {}, "compare with ", picker)), agreement(), h("h4", {}, "One selection in all spaces"), h("p", { class: "note" }, "Drag over a map to select, click to look at an item."), maps, said, result);

  const views = [{ name: data.title, map: data.maps[0], codes: data.codes }, ...spaces.map((space) => ({ name: space.name, map: space.maps[0], codes: space.codes }))];
  const drawn = views.map((view) => smallMap(view, store, data));
  maps.append(...drawn.map((one) => one.figure));
  store.on(["selection", "focus", "hover", "colour"], () => drawn.forEach((one) => one.draw()), true);
  store.on(["k"], () => show(), true);

  function agreement() {
    const names = [...new Set(spaces.flatMap((space) => space.agreement.map((figure) => figure.name)))];
    if (!names.length) return "";
    return h("div", {}, h("h4", {}, "Agreement with this space"), tableOf(["space", ...names], spaces.map((space) => [space.name, ...names.map((name) => {
      const figure = space.agreement.find((one) => one.name === name);
      return figure ? { statistic: figure } : null;
    })])));
  }

  async function show() {
    const mine = ++turn, k = Math.min(store.get("k"), data.count - 2), problem = engine.problem || measured[which].problem;
    result.replaceChildren();
    if (problem) { said.textContent = problem; return; }
    const rows = engine.search.sample(data.count, MOST_COMPARED, 0);
    said.textContent = "Comparing neighbours …";
    try {
      await engine.background.know("codes", engine.space);
      await engine.background.know(`space${which}`, measured[which].space);
      const values = await engine.background.run("jaccard", { one: "codes", other: `space${which}`, rows, k });
      const cka = await engine.background.run("alignment", { one: "codes", other: `space${which}` });
      if (mine === turn) draw(rows, values, k, cka);
    } catch (error) { if (mine === turn) said.textContent = error.message; }
  }

  function draw(rows, values, k, cka) {
    const mean = meanOf(values), chance = comparison.chance(data.count, k);
    const order = ascending(values), counts = binned(values.map((value) => Math.round(2 * k * value / (1 + value))), k + 1, [-0.5, k + 0.5]).counts, colours = palette();
    const moved = order.slice(0, 24).map((i) => rows[i]);
    engine.shown.comparison = { rows, values, moved, k, cka };
    said.textContent = rows.length < data.count ? `Neighbours of ${number(rows.length)} items drawn with seed 0, each among all ${number(data.count)}.` : `Neighbours of all ${number(data.count)} items.`;
    const given = Object.entries(spaces[which].points);
    result.append(...[h("h4", {}, "How alike the shapes are"),
      h("p", {}, `CKA ${number(cka.debiased)} without bias, ${number(cka.linear)} as usually given: 1 for spaces of one shape up to turns and scale, 0 for unrelated ones.`),
      h("h4", {}, `How many of its ${k} nearest neighbours an item has in both spaces`),
      h("p", {}, `Jaccard index (shared over all): ${number(mean)} on average; neighbours drawn by chance would give ${number(chance)}.`),
      histogram({ title: "how many neighbours items have in both spaces", layers: [{ counts, colour: colours[0] }], low: 0, high: k }),
      h("h4", {}, "Items that moved most"), h("p", { class: "note" }, "They share the fewest neighbours. Press one to look at it."),
      h("div", { class: "movers" }, moved.map((row, i) => h("button", { type: "button", class: "tile", "aria-label": `item ${shortened(data.id(row), 40)}, Jaccard index ${number(values[order[i]])}`, onclick: () => store.set({ focus: row }) },
        face(data, row, 40), h("small", {}, words(data.id(row), 10)), h("small", {}, number(values[order[i]], 2))))),
      h("div", { class: "row" }, button("select these items", () => store.set({ selection: [...moved].sort((p, q) => p - q) }))),
      given.length ? tableOf(["given for every item", "mean"], given.map(([name, list]) => [name, meanOf(list)])) : null].filter(Boolean));
  }
}

/* A small map of one space with the shared selection; drag selects, a click looks at the nearest item, arrow keys go on. */
function smallMap({ name, map, codes }, store, data) {
  const canvas = h("canvas", { width: 360, height: 360, tabindex: 0, role: "img", "aria-label": `map of ${shortened(name, 40)}; drag to select items, arrow keys go from item to item` });
  const d = map ? map.dims : codes?.dim ?? 0, from = map ? map.places : codes?.values;
  const about = map ? map.name : !codes ? "no map" : codes.dim > 1 ? "dimensions 0 and 1" : "dimension 0";
  const figure = h("figure", { class: "small" }, h("figcaption", {}, words(name, 40), h("small", {}, ` ${shortened(about, 30)}`)), canvas);
  if (!from) return { figure: h("figure", { class: "small" }, h("figcaption", {}, words(name, 40)), h("p", { class: "cannot" }, "This space has neither a map nor codes on this page.")), draw: () => {} };
  const place = new Float32Array(2 * data.count), box = [0, 1].map((c) => axisNumerics().moments(from, data.count, d, Math.min(c, d - 1)));
  const half = Math.max(...box.map(({ low, high }) => (high - low) / 2)) || 1;
  for (let i = 0; i < data.count; i++) for (let c = 0; c < 2; c++) {
    const value = c < d ? from[i * d + c] : 0, middle = c < d ? (box[c].low + box[c].high) / 2 : 0;
    place[2 * i + c] = 180 + (c ? -1 : 1) * (value - middle) / half * 168;
  }
  let drag = null, base = null, key = "";

  function draw() {
    const context = canvas.getContext("2d"), now = `${store.get("colour")}${isDark()}`, ink = token("--ink") || (isDark() ? "#eee" : "#111");
    if (now !== key) { key = now; base = painted(); }
    context.clearRect(0, 0, 360, 360);
    context.globalAlpha = store.get("selection").length ? 0.25 : 1;
    context.drawImage(base, 0, 0);
    context.globalAlpha = 1;
    context.fillStyle = ink;
    for (const row of store.get("selection")) context.fillRect(place[2 * row] - 2, place[2 * row + 1] - 2, 4, 4);
    for (const [row, size] of [[store.get("hover"), 5], [store.get("focus"), 8]]) {
      if (row < 0) continue;
      context.strokeStyle = ink; context.lineWidth = 2.5;
      context.beginPath(); context.arc(place[2 * row], place[2 * row + 1], size, 0, 7); context.stroke();
    }
    if (drag) { context.strokeStyle = ink; context.lineWidth = 1; context.strokeRect(drag[0], drag[1], drag[2] - drag[0], drag[3] - drag[1]); }
  }

  function painted() {
    const sheet = new OffscreenCanvas(360, 360), context = sheet.getContext("2d"), colours = colouring(store.get("colour") || "none", data, data.maps[0] ?? { places: place, dims: 2, points: {} });
    const size = data.count > 5000 ? 2 : 3;
    for (let i = 0; i < data.count; i++) {
      context.fillStyle = colours.colours[colours.index[i]];
      context.fillRect(place[2 * i] - size / 2, place[2 * i + 1] - size / 2, size, size);
    }
    return sheet;
  }

  function point(event) {
    const area = canvas.getBoundingClientRect();
    return [(event.clientX - area.left) * 360 / area.width, (event.clientY - area.top) * 360 / area.height];
  }

  function nearestTo([x, y]) {
    let best = -1, least = 400;
    for (let i = 0; i < data.count; i++) {
      const far = (place[2 * i] - x) ** 2 + (place[2 * i + 1] - y) ** 2;
      if (far < least) { least = far; best = i; }
    }
    return best;
  }

  canvas.addEventListener("pointerdown", (event) => { drag = [...point(event), ...point(event)]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => { if (drag) { [drag[2], drag[3]] = point(event); draw(); } else store.set({ hover: nearestTo(point(event)) }); });
  canvas.addEventListener("pointerup", () => {
    if (!drag) return;
    const [x0, x1] = [Math.min(drag[0], drag[2]), Math.max(drag[0], drag[2])], [y0, y1] = [Math.min(drag[1], drag[3]), Math.max(drag[1], drag[3])];
    drag = null;
    if (x1 - x0 < 4 && y1 - y0 < 4) {
      const row = nearestTo([x0, y0]);
      store.set(row < 0 ? { selection: [] } : { focus: row });
    } else store.set({ selection: Array.from({ length: data.count }, (_, i) => i).filter((i) => place[2 * i] >= x0 && place[2 * i] <= x1 && place[2 * i + 1] >= y0 && place[2 * i + 1] <= y1) });
    draw();
  });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    store.set({ focus: (store.get("focus") + step + data.count) % data.count });
  });
  return { figure, draw };
}
