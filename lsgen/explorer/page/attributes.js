/* The direction from one group of items to another: how far it can be trusted, and what moving along it does. */
const SHUFFLES = 999;

panel("attributes", {
  title: "Attributes",
  about: "Choose two groups of items: this shows the direction that tells them apart, whether it is more than noise, and what an item becomes when it moves that way.",
  when: (data) => engineOf(data).problem || data.count >= 4 || "Two groups need at least four items, and this page has fewer.",
  mount: mountAttributes,
});

function mountAttributes(element, store, data) {
  const engine = engineOf(data), directions = directionNumerics(), tiles = tilesOf(data), { space } = engine;
  const verdict = h("div", { class: "verdict", "aria-live": "polite" }), figures = h("div"), moving = h("div"), saved = h("div"), sums = h("div");
  const a = groupField("A", store, data, () => { b.refresh(); compute(); });
  const b = groupField("B", store, data, () => compute(), () => a.rows());
  let found = null, turn = 0;
  const name = h("input", { type: "text", "aria-label": "name of the direction", placeholder: "name of the direction", maxlength: 60 });
  element.append(h("div", { class: "row groups" }, a.field, b.field), verdict, figures, moving,
    h("div", { class: "row" }, name, button("save this direction", save), button("save A as a group", saveGroup)), saved, sums);

  const compute = later(async () => {
    const mine = ++turn;
    found = null; engine.shown.direction = null;
    figures.replaceChildren(); moving.replaceChildren();
    const [one, other] = [a.rows(), b.rows()];
    if (one.length === data.count) { verdict.textContent = "Group A holds every item: there is nothing to compare it with."; return; }
    if (!one.length || !other.length) { verdict.textContent = "Choose both groups to see a direction. B can be all the others."; return; }
    verdict.textContent = "Computing …";
    try {
      found = directions.direction(space, one, other);
    } catch (error) { verdict.textContent = error.message; return; }
    found.label = `${a.label()} − ${b.label()}`;
    await tiles.ready;
    if (mine !== turn) return;
    drawFigures(); drawMoving();
    try {
      await engine.background.know("codes", space);
      const trust = await engine.background.run("trust", { space: "codes", a: one, b: other, times: SHUFFLES, folds: 5, seed: 0 });
      if (mine !== turn) return;
      Object.assign(found, trust);
      engine.shown.direction = found;
      judge();
    } catch (error) { if (mine === turn) verdict.textContent = error.message; }
  }, 150);

  function judge() {
    const [na, nb] = found.counts, few = Math.min(na, nb) < 5, noise = found.p > 0.05 || found.rho === 0;
    verdict.replaceChildren(
      h("strong", { class: noise ? "noise" : "real" }, noise ? "This direction cannot be told from noise." : found.rho > 0.8 ? "This direction is real and well determined." : "This direction is real but only roughly known."),
      h("p", {}, noise ? `Groups drawn by chance differ as much in ${number(100 * found.p, 2)}% of shuffles.` : `Shuffled groups differed as much in ${found.p <= 1 / (SHUFFLES + 1) ? `none of ${SHUFFLES}` : `${number(100 * found.p, 2)}% of the`} shuffles; about ${number(100 * found.rho, 2)}% of its squared length is signal.`,
        found.auc === null ? " Too few items to test on held-out ones." : ` On held-out items it ranks a member of A above one of B ${number(100 * found.auc, 3)}% of the time (50% is chance).`,
        few ? " A group has fewer than 5 items: take it as a hint at most." : ""),
      tableOf(["figure", "value", "what it is"], [
        ["reliability ρ", found.rho, "share of the squared length that is not noise: 0 none, 1 all"],
        ["permutation p", found.p, `how often ${SHUFFLES} shuffles (seed 0) differ as much, compared with their noise`],
        ["held-out AUC", found.auc, "over five folds; 0.5 is chance"],
        ["length", found.length, `distance of the means, ${number(found.length / (found.sd || NaN), 3)} SD along the direction`],
        ["items", `${number(na)} and ${number(nb)}`, "in A and in B"]]));
  }

  function drawFigures() {
    const [na] = found.counts, values = Array.from(found.projections, (value) => value / (found.sd || 1));
    const whole = binned(values, 30), limits = [whole.low, whole.high], colours = palette();
    figures.replaceChildren(h("h4", {}, "The groups along the direction, in standard deviations"),
      h("div", { class: "legend" }, h("span", {}, h("i", { style: `background:${colours[0]}` }), words(`A: ${a.label()}`, 40)), h("span", {}, h("i", { style: `background:${colours[1]}` }), words(`B: ${b.label()}`, 40))),
      histogram({ title: "projections of both groups on the direction", low: whole.low, high: whole.high,
        layers: [{ counts: binned(values.slice(0, na), 30, limits).counts, colour: colours[0] + "99" }, { counts: binned(values.slice(na), 30, limits).counts, colour: colours[1] + "99" }] }));
  }

  function start() {
    const row = store.get("focus") >= 0 ? store.get("focus") : store.get("pins").A;
    return row >= 0 ? row : a.rows()[0];
  }

  function drawMoving() {
    const row = start(), z = engine.search.row(space, row), large = h("span", { class: "tile large" });
    const strip = h("div"), alpha = Math.min(4, Math.max(-4, store.get("alpha")));
    const show = (value) => {
      try { tiles.paint(large, directions.moved(space, z, found, value), 96); } catch (error) { large.textContent = error.message; }
    };
    const stops = [-3, -2, -1, 0, 1, 2, 3];
    try {
      strip.append(codeStrip(data, store, stops.map((value) => directions.moved(space, z, found, value)), { size: 40, captions: stops.map((value) => `${number(value)}`) }));
    } catch (error) { strip.append(h("p", { class: "cannot" }, error.message)); }
    show(alpha);
    moving.replaceChildren(h("h4", {}, "Moving ", words(`item ${data.id(row)}`, 30), " along it, towards A to the right"),
      h("div", { class: "row" }, large, slider("α (SD)", { min: -4, max: 4, step: 0.1, value: alpha, format: (value) => number(value, 2), oninput: (value) => { show(value); store.set({ alpha: value }); } })),
      strip, h("p", { class: "note" }, tiles.words()));
  }

  function saveGroup() {
    if (!a.rows().length) { announce("This group has no items to save."); return; }
    const title = name.value.trim() || a.label() || "group";
    store.set({ groups: [...store.get("groups"), { name: title, rows: a.rows() }] });
    announce(`Saved ${a.rows().length} items.`);
  }

  /* A saved direction is two groups of one name, so that it survives in the state and in Python. */
  function save() {
    if (!found) { announce("There is no direction to save yet."); return; }
    const title = name.value.trim() || found.label;
    const groups = store.get("groups").filter((group) => group.direction !== title);
    store.set({ groups: [...groups, { name: `${title} · A`, direction: title, side: "A", rows: a.rows() }, { name: `${title} · B`, direction: title, side: "B", rows: b.rows() }] });
    name.value = "";
  }

  /* Directions that were saved: { title, ... }, with a refusal where there is none. */
  function savedDirections() {
    const groups = store.get("groups").filter((group) => group.direction);
    return [...new Set(groups.map((group) => group.direction))].map((title) => {
      const [one, other] = ["A", "B"].map((side) => groups.find((group) => group.direction === title && group.side === side)?.rows ?? []);
      try { return { title, ...directions.direction(space, one, other) }; } catch (error) { return { title, refusal: error.message }; }
    });
  }

  function drawSaved() {
    const kept = savedDirections();
    saved.replaceChildren();
    if (!kept.length) return;
    const good = kept.filter((one) => !one.refusal);
    saved.append(h("h4", {}, "Saved directions"), tableOf(["direction", "ρ", "n A", "n B", ""], kept.map((one) => [one.title, one.refusal ? one.refusal : one.rho, one.counts?.[0], one.counts?.[1],
      button("remove", () => store.set({ groups: store.get("groups").filter((group) => group.direction !== one.title) }), { "aria-label": `remove ${shortened(one.title, 40)}` })])));
    if (good.length < 2) return;
    const matrix = good.map((one, i) => good.map((other, j) => (j < i ? directions.cosine(other, one) : null)));
    engine.shown.cosines = matrix;
    const shown = (pair) => (pair === null ? "" : pair.corrected === null ? `noise (${number(pair.plain, 2)})`
      : `${number(pair.corrected, 2)} [${number(pair.low, 2)}, ${number(pair.high, 2)}] (${number(pair.plain, 2)})`);
    saved.append(h("h4", {}, "Cosines between directions"), tableOf(["", ...good.slice(0, -1).map((one) => one.title)], good.slice(1).map((one, i) => [one.title, ...matrix[i + 1].slice(0, -1).map(shown)])),
      h("p", { class: "note" }, "Corrected for noise, also for that of items which two directions share; with a 95% interval, and uncorrected in round brackets. “noise”: one of the two cannot be told from noise."));
  }

  store.on(["focus", "pins"], () => { if (found) drawMoving(); });
  store.on(["groups"], drawSaved, true);
  mountAnalogies(sums, store, data);
  const labels = data.columns.find((column) => column.levels && column.levels.length > 0 && column.levels.length <= 50);
  a.choose(labels ? { source: "column", column: labels.name, level: 0 } : { source: "selection" });
}
