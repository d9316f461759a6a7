/* Every axis of the codes: its spread, what it goes along with, and a slider that moves the item in view along it. */
panel("dimensions", {
  title: "Dimensions",
  about: "Every axis of the code on its own: how much it is used, which columns it follows, and a slider that moves the item in view along it.",
  when: (data) => (data.codes ? true : "This page holds no codes, only a map of them, so there are no dimensions to show."),
  mount: mountDimensions,
});

function mountDimensions(element, store, data) {
  const { values: z, dim: d } = data.codes, n = data.count, numerics = axisNumerics(), tiles = tilesOf(data);
  const flat = data.codes.manifold.type === "Euclidean", scale = flat ? data.codes.scale : null;
  const axes = Array.from({ length: d }, (_, j) => ({ j, ...numerics.moments(z, n, d, j), kl: scale ? divergence(j) : null }));
  for (const axis of axes) axis.active = axis.sd ** 2 > 0.01;
  const current = h("div", { class: "current" }), list = h("div", { class: "axes" }), detail = h("div", { class: "detail" });
  const sliders = new Map();
  let order = "spread", start = null, code = null, onlyActive = false;
  element.append(...[
    h("p", {}, `${number(d)} ${d === 1 ? "dimension" : "dimensions"}, ${number(axes.filter((axis) => axis.active).length)} active (variance of the codes above 0.01).`,
      scale ? ` Their KL divergences from the prior sum to ${number(axes.reduce((sum, axis) => sum + axis.kl, 0))} nats, if posterior and prior are normal.` : ` KL divergences are not shown: ${flat ? "this page holds no posterior widths" : "this space is curved"}.`),
    data.codes.leading ? h("p", { class: "note" }, `These are principal components: the page holds the codes ${data.codes.about}.`) : null,
    flat ? null : h("p", { class: "note" }, "This space is curved: a moved code may lie off it, and is then brought back before it is shown."),
    current,
    h("div", { class: "row" }, choice("order of the dimensions", [{ value: "spread", label: "widest spread first" }, ...(scale ? [{ value: "kl", label: "largest KL first" }] : []), { value: "index", label: "by number" }], order, (value) => { order = value; drawList(); }),
      h("label", {}, h("input", { type: "checkbox", onchange: (event) => { onlyActive = event.target.checked; drawList(); } }), " active only"),
      button("reset the sliders", reset)),
    list, detail].filter(Boolean));

  /* KL divergence of N(mean, scale) from N(0, 1) in nats, averaged over the items. */
  function divergence(j) {
    let sum = 0;
    for (let i = 0; i < n; i++) {
      const m = z[i * d + j], s = Math.max(scale[i * d + j], 1e-7);
      sum += (m * m + s * s - 1) / 2 - Math.log(s);
    }
    return sum / n;
  }

  function base() {
    const row = store.get("focus");
    return row >= 0 ? { row, words: `item ${data.id(row)}`, z: data.codes.row(row) } : { row: -1, words: "the mean of all codes", z: Float32Array.from(axes, (axis) => axis.mean) };
  }

  function onto(moved) {
    if (flat) return moved;
    const type = data.codes.manifold.type, length = Math.hypot(...moved);
    if (type === "Sphere") return moved.map((value) => value / (length || 1));
    if (type === "PoincareBall") {
      const rim = 0.999 / Math.sqrt(Number(data.codes.manifold.arguments[0] ?? 1));
      return length > rim ? moved.map((value) => value * rim / length) : moved;
    }
    if (type !== "Simplex") return moved;
    const kept = moved.map((value) => Math.max(0, value)), sum = kept.reduce((all, value) => all + value, 0);
    return kept.map((value) => value / (sum || 1));
  }

  function reset() {
    start = base();
    code = Float32Array.from(start.z);
    for (const [j, field] of sliders) { field.input.value = code[j]; field.output.textContent = number(code[j], 2); }
    drawCurrent(true);
    drawDetail();
  }

  let large = null;
  function drawCurrent(anew) {
    if (anew) {
      large = h("span", { class: "tile large" });
      current.replaceChildren(h("div", { class: "row" },
        h("figure", {}, start.row >= 0 ? face(data, start.row, 84) : h("span", { class: "noface" }, "mean"), h("figcaption", {}, words(start.words, 24))),
        h("figure", {}, large, h("figcaption", {}, tiles.decodes() ? "decoded" : "nearest item")),
        h("p", { class: "note" }, tiles.words())));
    }
    try { tiles.paint(large, onto(code), 84); } catch (error) { large.textContent = error.message; }
    engine.shown.code = code;
  }
  const engine = engineOf(data);
  const redraw = onceAPicture(() => drawCurrent(false));

  function sorted() {
    const shown = axes.filter((axis) => !onlyActive || axis.active);
    if (order === "spread") shown.sort((p, q) => q.sd - p.sd || p.j - q.j);
    if (order === "kl") shown.sort((p, q) => q.kl - p.kl || p.j - q.j);
    return shown;
  }

  function drawList() {
    sliders.clear();
    const widest = Math.max(...axes.map((axis) => axis.sd), 1e-12);
    list.replaceChildren(...sorted().map((axis) => {
      const reach = Math.max(3 * axis.sd, 1e-3), output = h("output", {}, number(code[axis.j], 2));
      const input = h("input", { type: "range", min: Math.min(axis.mean - reach, axis.low), max: Math.max(axis.mean + reach, axis.high), step: "any", value: code[axis.j],
        "aria-label": `dimension ${axis.j}`, oninput: () => { code[axis.j] = Number(input.value); output.textContent = number(code[axis.j], 2); redraw(); } });
      sliders.set(axis.j, { input, output });
      return h("div", { class: axis.active ? "axisrow" : "axisrow idle", "data-axis": axis.j },
        button(`z${axis.j}`, () => store.set({ dimension: axis.j }), { "aria-pressed": String(store.get("dimension") === axis.j), title: `look at dimension ${axis.j}` }),
        h("span", { class: "track", title: `standard deviation ${number(axis.sd)}` }, h("i", { style: `width:${(100 * axis.sd / widest).toFixed(1)}%` })), input, output);
    }));
  }

  /* The columns that the values of an axis go along with; of classes so many that each has a few items. */
  function related(axis) {
    return data.columns.filter((column) => !column.levels || column.levels.length <= Math.max(50, n / 4)).map((column) => {
      if (!column.levels) return { column, kind: "r", value: numerics.correlation(axis, column.values) };
      return { column, kind: "η", value: numerics.ratio(axis, Array.from(column.values, (level) => (level < 0 ? null : level))) };
    }).filter((one) => one.value !== null).sort((p, q) => Math.abs(q.value) - Math.abs(p.value)).slice(0, 12);
  }

  async function drawDetail() {
    const j = Math.min(Math.max(0, store.get("dimension")), d - 1), axis = axes[j], colours = palette();
    for (const one of list.querySelectorAll(".axisrow")) one.firstChild.setAttribute("aria-pressed", String(Number(one.dataset.axis) === j));
    const column = Float32Array.from({ length: n }, (_, i) => z[i * d + j]), whole = binned(column, 30), found = related(column);
    const marks = start.row >= 0 ? [{ x: start.z[j], label: "item" }] : [], strip = h("div");
    detail.replaceChildren(...[h("h4", {}, `Dimension ${j}`),
      h("p", {}, `mean ${number(Math.abs(axis.mean) < 1e-6 * axis.sd ? 0 : axis.mean)}, SD ${number(axis.sd)}, from ${number(axis.low)} to ${number(axis.high)}${axis.kl === null ? "" : `, KL ${number(axis.kl)} nats`}${axis.active ? "" : " — idle: it hardly varies"}`),
      histogram({ title: `histogram of dimension ${j}`, layers: [{ counts: whole.counts, colour: colours[0] }], low: whole.low, high: whole.high, marks }),
      h("h4", {}, "What it goes along with"),
      found.length ? bars(found.map((one) => ({ label: one.column.name, value: Math.abs(one.value), text: `${one.kind} = ${number(one.value, 2)}` })), 12)
        : h("p", { class: "cannot" }, "No column has values that could be compared with it."),
      found.length ? h("p", { class: "note" }, `r: correlation with numbers, η: correlation ratio with classes (0 none, 1 full); with ${number(n)} items chance gives about ${number(1 / Math.sqrt(n), 1)} for r.`) : null,
      h("h4", {}, `Traversal from ${shortened(start.words, 24)}`), strip].filter(Boolean));
    const stops = [-3, -2, -1, 0, 1, 2, 3].map((at) => axis.mean + at * axis.sd);
    const made = tiles.decodes() ? null : (await data.strips()).find((one) => one.dimension === j);
    if (made) {
      strip.append(h("div", { class: "filmstrip", style: `--n:${Math.min(made.steps, 13)}` }, Array.from({ length: made.steps }, (_, i) => h("span", { class: "tile" }, made.pictures.canvas(i, 40, `step ${i + 1} of dimension ${j}`)))), h("p", { class: "note" }, "Decoded when this page was made."));
      return;
    }
    try {
      strip.append(codeStrip(data, store, stops.map((value) => { const moved = Float32Array.from(start.z); moved[j] = value; return onto(moved); }), { size: 40, captions: ["−3 SD", "−2", "−1", "mean", "1", "2", "3 SD"] }));
    } catch (error) { strip.append(h("p", { class: "cannot" }, error.message)); }
  }

  start = base();
  code = Float32Array.from(start.z);
  drawList();
  tiles.ready.then(() => { drawCurrent(true); drawDetail(); });
  store.on(["focus"], () => reset());
  store.on(["dimension"], () => drawDetail());
}
