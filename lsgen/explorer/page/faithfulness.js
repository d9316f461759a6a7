/* How faithful a map is, by the definitions of lsgen.analysis: of the places of codes (N x m) and the codes themselves,

     trustworthiness   1 − Σ max(rank in the space − k, 0) over the k nearest on the map  / (k (2 N − 3 k − 1) / 2)
     continuity        the same with map and space exchanged
     overlap           the share of the k nearest on the map that are among the k nearest in the space

   averaged over some codes. A rank is one more than the number of codes that are nearer; ties are not nearer. */
function faithfulnessNumerics() {
  "use strict";
  const search = neighbourSearch(), TIES = 1e-12;

  /* Returns { k, rows, values: { trustworthiness, continuity, overlap } each of the rows, chance: { ... } }. */
  function measure(space, places, m, k, rows) {
    const n = space.n, most = Math.floor((n - 1) / 2);
    if (!(k >= 1 && k <= most)) throw new Error(`There are ${n} items, too few to tell ${k} neighbours from others.`);
    const map = search.space(places, n, m, { type: "Euclidean", arguments: [] }), pair = [space, map];
    const worst = k * (2 * n - 3 * k - 1) / 2, chance = 1 - (n - 1 - k) * (n - k) / ((n - 1) * (2 * n - 3 * k - 1));
    const values = { trustworthiness: [], continuity: [], overlap: [] };
    for (const i of rows) {
      const near = pair.map((one) => search.nearest(one, search.row(one, i), k, i).indices);
      const over = pair.map((one, side) => excess(one.keys, near[1 - side], k));
      values.trustworthiness.push(1 - sumOver(over[0]) / worst);
      values.continuity.push(1 - sumOver(over[1]) / worst);
      values.overlap.push(over[0].filter((one) => one <= 0).length / k);
    }
    return { k, rows, values, chance: { trustworthiness: chance, continuity: chance, overlap: k / (n - 1) } };
  }

  /* How far the ranks of others exceed k among all codes, by numbers in the order of their distances. */
  function excess(keys, others, k) {
    const limits = Float64Array.from(others, (j) => keys[j] * (1 - TIES));
    const nearer = new Int32Array(others.length), largest = limits.reduce((a, b) => Math.max(a, b), 0);
    for (let j = 0; j < keys.length; j++) {
      if (!(keys[j] < largest)) continue;
      for (let at = 0; at < limits.length; at++) if (keys[j] < limits[at]) nearer[at]++;
    }
    return Array.from(nearer, (count) => count + 1 - k);
  }

  function sumOver(excesses) { return excesses.reduce((sum, one) => sum + Math.max(one, 0), 0); }

  return { measure };
}

/* The figures of a map that was made in the page, as those of maps that were measured before. */
function figuresOf(found, count) {
  const m = found.rows.length;
  return Object.entries(found.values).map(([name, values]) => {
    const { mean: value, sd } = axisNumerics().moments(values, m, 1, 0), half = 1.96 * sd / Math.sqrt(m);
    return { name, value, n: m, baseline: found.chance[name], seed: m < count ? 0 : null,
      interval: m > 1 ? [Math.max(0, value - half), Math.min(1, value + half)] : null };
  });
}

/* Measure two axes beside the page, at all items or at some of many, and tell the trust strip. */
const MEASURED = 2000, SOME = 500, FEWEST = 100, NUMBERS = 2e8;  // numbers of codes that are read for a sample
const measureAxes = later(async (view) => {
  const { current: map, data, store } = view, engine = engineOf(data);
  if (!map?.axes || map.trust.length) return;
  const most = Math.floor((data.count - 1) / 2), k = Math.min(data.maps.find((one) => one.k)?.k ?? 15, most);
  try {
    if (engine.problem) throw new Error(engine.problem);
    const some = Math.max(FEWEST, Math.min(SOME, Math.floor(NUMBERS / (data.count * engine.space.d))));
    const rows = engine.search.sample(data.count, data.count <= MEASURED ? data.count : some, 0);
    await engine.background.know("codes", engine.space);
    const found = await engine.background.run("faithfulness", { space: "codes", places: map.places, m: map.dims, k, rows });
    map.trust = figuresOf(found, data.count);
    map.k = k;
    if (rows.length === data.count) for (const [name, values] of Object.entries(found.values)) map.points[name] = Float32Array.from(values);
    map.measured = `Measured here at ${rows.length < data.count ? `${number(rows.length)} of ${number(data.count)} items, drawn with seed 0` : `all ${number(data.count)} items`}.`;
    if (view.current === map) engine.shown.faithfulness = found;
  } catch (error) { map.measured = error.message; }
  if (view.current !== map) return;
  store.set({ camera: store.get("camera") + 1 });
  if (store.get("colour").startsWith("trust:")) view.refresh(false);
}, 200);
