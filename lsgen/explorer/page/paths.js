/* Paths from one pinned item to another, and how far from the data each step of them is. */
const PATH_KINDS = [
  { kind: "linear", label: "straight", about: "(1 − t) a + t b" },
  { kind: "slerp", label: "spherical", about: "along the great circle of the two directions, the norm linear" },
  { kind: "geodesic", label: "geodesic", about: "the shortest path: of the space's own geometry, or of decoded values where the space is flat" },
  { kind: "density", label: "through the data", about: "the shortest chain of near neighbours, cost distance², at most 2,000 items" },
];

panel("paths", {
  title: "Paths",
  about: "What lies between two items, pinned as A and B, by up to four routes, and where a route leaves the data.",
  when: (data) => engineOf(data).problem || data.count >= 3 || "A path needs at least three items, and this page has fewer.",
  mount: mountPaths,
});

/* The chain through the data over the map; dashed, as what is straight in the space need not be straight there. */
overlay((context, place, store, data) => {
  const chain = data.engine?.shown.paths?.find((route) => route.kind === "density")?.chain;
  if (!chain || store.get("tab") !== "paths") return;
  context.setLineDash([6, 4]); context.lineWidth = 2; context.strokeStyle = token("--ink");
  traced(context, chain.nodes.map(place));
  context.stroke(); context.setLineDash([]);
});

/* The items nearest to the centres of the two largest classes of a column, or of its lowest and highest quarter:
   { rows, words }; null where there are none. */
function centresOf(data, store) {
  const engine = engineOf(data), { space } = engine, named = store.get("colour").replace(/^column:/, "");
  const several = (one) => !one.levels || (one.levels.length > 1 && one.levels.length <= 50);
  const column = [data.column(named), data.column("label"), ...data.columns].find((one) => one && several(one));
  if (!column) return null;
  let groups = [[-0.25, "lowest quarter"], [0.75, "highest quarter"]].map(([share, label]) => ({ label, rows: column.levels ? [] : ranged(column.values, share) }));
  if (column.levels) {
    const rows = column.levels.map((label, level) => ({ label, level, rows: [] }));
    column.values.forEach((level, row) => { if (level >= 0) rows[level].rows.push(row); });
    groups = rows.sort((a, b) => b.rows.length - a.rows.length || a.level - b.level).slice(0, 2);
  }
  if (groups.some((group) => !group.rows.length)) return null;
  const rows = groups.map((group) => {
    const centre = new Float64Array(space.d);
    for (const row of group.rows) engine.search.row(space, row).forEach((value, i) => { centre[i] += value / group.rows.length; });
    let best = Infinity, found = -1;
    for (const row of group.rows) {
      const far = engine.search.row(space, row).reduce((sum, value, i) => sum + (value - centre[i]) ** 2, 0);
      if (far < best) { best = far; found = row; }
    }
    return found;
  });
  return rows[0] === rows[1] ? null : { rows, words: `These are the items nearest to the centres of ${groups.map((group) => `${shortened(column.label, 24)} ${column.levels ? "= " : "in its "}${shortened(group.label, 24)}`).join(" and ")}: pin others to see what lies between them.` };
}

function mountPaths(element, store, data) {
  const engine = engineOf(data), curves = curveNumerics(), tiles = tilesOf(data), { space } = engine, flat = space.kind === "Euclidean";
  const said = h("p", { class: "said" }), strips = h("div", { class: "routes" }), charts = h("div", { class: "charts" });
  const begun = Object.values(store.get("pins")).every((row) => row < 0) ? centresOf(data, store) : null;
  let steps = 9, turn = 0;
  if (begun) store.set({ pins: { A: begun.rows[0], B: begun.rows[1], C: -1 } });
  const controls = h("div", { class: "row" },
    pinButton("A"), button("swap A and B", () => {
      const pins = store.get("pins");
      store.set({ pins: { ...pins, A: pins.B, B: pins.A } });
    }), pinButton("B"),
    slider("steps", { min: 3, max: 25, step: 1, value: steps, oninput: later((value) => { steps = value; show(); }) }));
  const note = h("p", { class: "note" });
  element.append(controls, said, strips, charts, note);

  function pinButton(pin) {
    return button(`pin the item in view as ${pin}`, () => {
      const row = store.get("focus");
      if (row < 0) announce(`Choose an item on the map first, then pin it as ${pin}.`);
      else setPin(store, pin, row);
    }, { class: `pin pin-${pin}` });
  }

  async function routes(a, b) {
    const za = engine.search.row(space, a), zb = engine.search.row(space, b), found = [];
    found.push({ kind: "linear", points: curves.linear(za, zb, steps) });
    found.push(flat ? { kind: "slerp", points: curves.slerp(za, zb, steps) }
      : { kind: "slerp", refusal: "Spherical paths are for flat spaces; this one has geodesics of its own." });
    found.push({ kind: "geodesic", ...geodesic(za, zb) });
    await engine.background.know("codes", space);
    const dense = await engine.background.run("density", { space: "codes", a, b, options: { k: Math.min(store.get("k"), data.count - 1) } });
    found.push(dense ? { kind: "density", chain: dense,
      points: curves.resampled(space, dense.nodes.map((row) => engine.search.row(space, row)), steps) }
      : { kind: "density", refusal: "No chain of neighbours joins A and B: the items fall into parts." });
    for (const { points } of found) if (points) [points[0], points[steps - 1]] = [za, zb];  // to the last digit
    return found;
  }

  /* The points of the shortest path, or why there are none; it is pending where the worker is still to search it. */
  function geodesic(za, zb) {
    if (!flat) try { return { points: curves.geodesic(space, za, zb, steps) }; } catch (error) { return { refusal: error.message }; }
    if (!tiles.decodes()) return { refusal: "In this flat space the geodesic is the straight path; a decoder would give it a geometry of its own, and this page has none." };
    if (tiles.waits()) return { refusal: "The shortest path of decoded values takes derivatives at every step, which ONNX Runtime is too slow for here." };
    const slow = tooSlow(za);
    return { refusal: slow || "Searching the shortest path of decoded values …", pending: !slow };
  }

  const near = () => Math.max(1, Math.min(store.get("k"), data.count - 2));

  /* Why the geodesic of the decoder is not searched: seconds that 15 rounds of derivatives would take; "" where it is. */
  function tooSlow(z) {
    const begin = performance.now();
    tiles.decode(z);
    const seconds = (performance.now() - begin) / 1000 * 15 * (steps - 2) * (2 * space.d + 1);
    return seconds > 40 ? `The shortest path of decoded values would take this page about ${number(seconds, 1)} seconds.` : "";
  }

  /* The shortest path of decoded values, drawn once it is found. */
  async function searchGeodesic(a, b, found, reference, mine) {
    const place = found.findIndex((route) => route.pending);
    if (place < 0) return;
    await engine.background.knowDecoder(data.program);
    const [za, zb] = [a, b].map((row) => Float64Array.from(engine.search.row(space, row)));
    const path = await engine.background.run("pullback", { a: za, b: zb, points: steps });
    if (mine !== turn) return;
    found[place] = path.converged ? { kind: "geodesic", points: path.points, decoded: path, ...diagnose(path.points, reference) }
      : { kind: "geodesic", refusal: "The shortest path of decoded values did not settle, so none is shown." };
    draw(a, b, found, reference);
  }

  /* Per step: percentile of the distance to the k-th nearest code, z-score under N(0, I), speed. */
  function diagnose(points, reference) {
    const t = points.map((_, i) => i / (points.length - 1)), far = [], prior = [], speed = [];
    const frames = tiles.decodes() ? points.map((z) => tiles.decode(z)) : [];
    points.forEach((z, i) => {
      try {
        far.push(curves.percentile(reference, curves.far(space, z, near())));
        prior.push((space.d - curves.dot(z, z)) / Math.sqrt(2 * space.d));
      } catch (error) { far.push(NaN); prior.push(NaN); }
      if (i) speed.push((frames.length ? Math.sqrt(frames[i].reduce((sum, value, j) => sum + (value - frames[i - 1][j]) ** 2, 0))
        : safeDistance(points[i - 1], z)) * (points.length - 1));
    });
    return { t, frames, far, prior, speed, middle: t.slice(1).map((value, i) => (value + t[i]) / 2), off: far.flatMap((p, i) => (p > 99 ? [i] : [])) };
  }

  function safeDistance(a, b) { try { return engine.search.distance(space, a, b); } catch (error) { return NaN; } }

  async function show() {
    const { A, B } = store.get("pins"), mine = ++turn;
    strips.replaceChildren(); charts.replaceChildren(); note.textContent = ""; engine.shown.paths = null;
    if (A < 0 || B < 0) { said.textContent = `Pin ${A < 0 ? "A" : ""}${A < 0 && B < 0 ? " and " : ""}${B < 0 ? "B" : ""} to see the routes. Choose an item on the map or in the table, then press a pin button.`; return; }
    if (A === B) { said.textContent = "A and B are the same item: there is nothing between them."; return; }
    said.textContent = "Searching the routes …";
    try {
      await tiles.ready;
      const [found, reference] = [await routes(A, B), await engine.reference(near())];
      await tiles.prepare(found.flatMap((route) => route.points ?? []), () => mine === turn);
      if (mine !== turn) return;
      for (const route of found) if (route.points) Object.assign(route, diagnose(route.points, reference));
      draw(A, B, found, reference);
      await searchGeodesic(A, B, found, reference, mine);
    } catch (error) {
      if (mine === turn) said.textContent = `No route was found: ${error.message}`;
    }
  }

  function draw(A, B, found, reference) {
    strips.replaceChildren(); charts.replaceChildren();
    said.replaceChildren("From ", words(data.id(A), 24), " to ", words(data.id(B), 24), `: ${number(safeDistance(engine.search.row(space, A), engine.search.row(space, B)))} apart (${space.metric}). ${tiles.words()} Hatched steps are farther from their ${near()} nearest items than 99% of the items are from theirs.`, begun && A === begun.rows[0] && B === begun.rows[1] ? ` ${begun.words}` : "");
    const drawn = found.filter((route) => route.points);
    for (const route of found) {
      const about = PATH_KINDS.find((entry) => entry.kind === route.kind), head = h("h3", {}, about.label, h("small", {}, ` ${about.about}`));
      if (route.refusal) { strips.append(h("div", { class: "route" }, head, h("p", { class: "cannot" }, route.refusal))); continue; }
      route.label = about.label;
      strips.append(h("div", { class: "route", "data-kind": route.kind }, head,
        codeStrip(data, store, route.points, { marked: route.off, frames: route.frames, size: 40 }),
        h("p", { class: "note" }, route.off.length ? `${route.off.length} of ${steps} steps are off the data.` : "Every step is as near to the data as items are to each other.",
          route.decoded ? ` Length in decoded values ${number(route.decoded.length)}; of the straight route ${number(meanOf(drawn[0].speed))}.` : "",
          route.chain ? ` Through ${route.chain.nodes.length} items of ${number(route.chain.among)}.` : "")));
    }
    const colours = palette();
    const lines = (key, x = "t") => drawn.map((route, i) => ({ name: route.label, x: route[x], y: route[key], colour: colours[i], dashed: route.kind === "density" }));
    charts.append(...[
      chart("How far from the data: percentile among the items' own distances", lineChart({ title: "percentile of the distance to the data along each route", series: lines("far"), xLabel: "share of the route", yLabel: "percentile", shaded: stretches(drawn[0]) })),
      flat ? chart("How usual the code is under a standard normal prior: z-score of log p(z)", lineChart({ title: "z-score of the prior along each route", series: lines("prior"), xLabel: "share of the route", yLabel: "z-score" })) : null,
      chart(tiles.decodes() ? "Speed: how fast the decoded values change" : `Speed: ${space.metric} passed in a unit of time`, lineChart({ title: "speed along each route", series: lines("speed", "middle"), xLabel: "share of the route", yLabel: "speed", from: 0 }))].filter(Boolean));
    note.textContent = `Percentiles compare with the distances of ${number(reference.length)} items${reference.length < data.count ? ", drawn with seed 0," : ""} to their own neighbour number ${near()}.${flat ? " The z-score holds if the prior is the standard normal." : " A z-score of the prior is shown for flat spaces only."} Shaded: where the straight route is off the data.`;
    engine.shown.paths = drawn;
    window.__lsgen.view?.paintOver();
  }

  function chart(title, drawn) { return h("div", {}, h("h4", {}, title), drawn); }

  function stretches(route) {
    const half = 0.5 / (route.t.length - 1);
    return route.off.map((i) => [Math.max(0, route.t[i] - half), Math.min(1, route.t[i] + half)]);
  }

  store.on(["pins", "k"], () => show(), true);
  store.on(["tab"], () => window.__lsgen.view?.paintOver());
}
