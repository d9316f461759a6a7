/* Maps made in the page: two directions of the codes against each other. */

/* What an axis can be: [{ value, label, group }]. */
function axisChoices(data, store) {
  const { groups, pins } = store.get(), options = [];
  for (const [from, to] of [["A", "B"], ["A", "C"], ["B", "C"]])
    if (pins[from] >= 0 && pins[to] >= 0) options.push({ value: `pins:${from}:${to}`, label: `from ${from} to ${to}`, group: "between pins" });
  groups.forEach((a, i) => groups.forEach((b, j) => {
    if (i !== j && a.rows.length && b.rows.length)
      options.push({ value: `groups:${i}:${j}`, label: `from ${a.name} to ${b.name}`, group: "between means of groups" });
  }));
  for (let i = 0; i < Math.min(data.codes.dim, 512); i++)
    options.push({ value: `dimension:${i}`, label: `${data.codes.leading ? "component" : "dimension"} ${i}`, group: "dimensions" });
  return options;
}

/* The unit vector of an axis, or null where its pins or groups are gone. */
function axisVector(axis, data, store) {
  const { codes } = data, [kind, a, b] = String(axis).split(":"), { groups, pins } = store.get();
  const vector = new Float64Array(codes.dim);
  if (kind === "dimension") {
    if (!(Number(a) < codes.dim)) return null;
    vector[Number(a)] = 1;
    return vector;
  }
  const ends = kind === "pins" ? [[pins[a]], [pins[b]]] : [groups[a]?.rows, groups[b]?.rows];
  if (ends.some((rows) => !rows || !rows.length || rows[0] < 0 || rows[0] === undefined)) return null;
  ends.forEach((rows, side) => rows.forEach((row) => codes.row(row).forEach((value, i) => {
    vector[i] += (side ? 1 : -1) * value / rows.length;
  })));
  const length = Math.hypot(...vector);
  return length > 0 ? vector.map((value) => value / length) : null;
}

function alongAxis(vector, codes) {
  const values = new Float32Array(codes.count), { dim } = codes;
  const used = Array.from(vector.keys()).filter((i) => vector[i] !== 0);
  for (let i = 0; i < codes.count; i++) {
    let sum = 0;
    for (const j of used) sum += codes.values[i * dim + j] * vector[j];
    values[i] = sum;
  }
  return values;
}

/* The map of two axes, in the form of those that were computed before; or a sentence why there is none. */
function axesMap(axes, data, store) {
  const vectors = [axes.x, axes.y].map((axis) => axisVector(axis, data, store));
  if (vectors.some((vector) => vector === null)) return "An axis needs two pins or two groups that lie apart; choose another.";
  const values = vectors.map((vector) => alongAxis(vector, data.codes)), count = data.count;
  const ends = values.map((side) => [side.reduce((a, b) => Math.min(a, b), Infinity), side.reduce((a, b) => Math.max(a, b), -Infinity)]);
  const centre = ends.map(([low, high]) => (low + high) / 2), half = Math.max(...ends.map(([low, high]) => (high - low) / 2)) || 1;
  const places = new Float32Array(2 * count);
  for (let i = 0; i < count; i++) for (const side of [0, 1]) places[2 * i + side] = (values[side][i] - centre[side]) / half;
  const names = [axes.x, axes.y].map((axis) => axisChoices(data, store).find((option) => option.value === axis)?.label || axis);
  const flat = data.codes.manifold.type === "Euclidean" ? "" : " The space is curved: these are straight lines through the numbers of its codes.";
  return {
    name: "axes", outline: "plane", dims: 2, places, centre, half, trust: [], points: {}, k: null, axes: names,
    about: `Each item stands where its code lies along two directions, in the units of the codes; all other directions are hidden.${flat}`,
  };
}
