/* Analogies with three pinned items: A − B + C, and which items lie there. */
function mountAnalogies(element, store, data) {
  const engine = engineOf(data), { space } = engine, tiles = tilesOf(data), curves = curveNumerics();

  function show() {
    const { A, B, C } = store.get("pins");
    element.replaceChildren(h("h4", {}, "Analogy: A − B + C"));
    if (space.kind === "Simplex") { element.append(h("p", { class: "cannot" }, "Probability vectors cannot be added like this: the answer may lie outside their space.")); return; }
    if (space.kind !== "Euclidean") element.append(h("p", { class: "note" }, "In this curved space A is carried along the shortest path from B to C."));
    if (A < 0 || B < 0 || C < 0) { element.append(h("p", { class: "note" }, "Pin three items as A, B and C: what is to C as A is to B?")); return; }
    try { draw(A, B, C, curves.carried(space, ...[A, B, C].map((row) => engine.search.row(space, row)))); } catch (error) { element.append(h("p", { class: "cannot" }, error.message)); }
  }

  function draw(A, B, C, z) {
    const inputs = [...new Set([A, B, C])], count = Math.min(5, data.count), picture = h("span", { class: "tile large" });
    const honest = engine.search.nearest(space, z, Math.min(count + inputs.length, data.count));
    const all = Array.from(honest.indices), without = all.filter((row) => !inputs.includes(row)).slice(0, count);
    const ranks = inputs.map((row) => engine.search.rank(space, z, row)), focus = store.get("focus");
    tiles.ready.then(() => tiles.paint(picture, z, 72));
    const item = (row) => row === undefined ? "—" : button(shortened(data.id(row), 24), () => store.set({ focus: row }), { class: inputs.includes(row) ? "input" : null });
    engine.shown.analogy = { honest: all.slice(0, count), standard: without, ranks };
    element.append(h("div", { class: "row" }, picture, h("p", {}, "Answer: ", item(without[0]), ". ",
      inputs.includes(all[0]) ? "Honestly, the nearest item is one of the three that were put in: usual scores leave these out." : "Even with the three inputs allowed it is the nearest.")),
    tableOf(["rank", "inputs left out (usual)", "inputs allowed (honest)"], Array.from({ length: count }, (_, i) => [i + 1, item(without[i]), item(all[i])])),
    h("p", { class: "note" }, `Honest ranks of the inputs: ${inputs.map((row, i) => `${["A", "B", "C"].filter((pin) => store.get("pins")[pin] === row).join("=")} ${ranks[i]}`).join(", ")}.`,
      focus >= 0 && !inputs.includes(focus) ? ` The item in view has rank ${engine.search.rank(space, z, focus, inputs)} (usual), ${engine.search.rank(space, z, focus)} (honest).` : ""));
  }

  store.on(["pins", "focus"], show, true);
}
