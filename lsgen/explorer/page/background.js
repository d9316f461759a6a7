/* Long work runs in a worker that is made from the source of the numerics; where a page may have none, it runs here. */
function backgroundTasks() {
  "use strict";
  const search = neighbourSearch(), curves = curveNumerics(), directions = directionNumerics();
  const comparison = comparisonNumerics(), faithfulness = faithfulnessNumerics(), pullback = pullbackNumerics(), spaces = new Map();
  let decoder = null;
  const work = {
    space: ({ name, z, n, d, manifold }) => void spaces.set(name, search.space(z, n, d, manifold)),
    reference: ({ space, k, most }) => curves.reference(spaces.get(space), k, most),
    decoder: (program) => { decoder = decoderEngine(program); },
    pullback: ({ a, b, points }) => pullback.geodesic((z) => decoder.decode(Float32Array.from(z)), a, b, points),
    density: ({ space, a, b, options }) => curves.density(spaces.get(space), a, b, options),
    trust: ({ space, a, b, times, folds, seed }) => {
      const { vectors, d } = directions.direction(spaces.get(space), a, b);
      return { p: directions.permutation(vectors, d, a.length, b.length, times, seed),
        auc: directions.crossValidated(vectors, d, a.length, b.length, folds, seed) };
    },
    alignment: ({ one, other }) => {
      const [a, b] = [one, other].map((name) => spaces.get(name));
      return comparison.alignment(directions.flattened(a).vectors, a.d, directions.flattened(b).vectors, b.d, a.n);
    },
    faithfulness: ({ space, places, m, k, rows }) => faithfulness.measure(spaces.get(space), places, m, k, rows),
    jaccard: ({ one, other, rows, k }) => comparison.jaccard(spaces.get(one), spaces.get(other), rows, k),
  };
  return (task, given) => work[task](given);
}

function createBackground() {
  const waiting = new Map(), known = new Set();
  let worker = null, here = null, next = 0, answered = false;

  function start() {
    const parts = [neighbourSearch, curveNumerics, directionNumerics, comparisonNumerics, faithfulnessNumerics, pullbackNumerics, decoderEngine, backgroundTasks];
    const source = `${parts.join("\n")}
      const tasks = backgroundTasks();
      onmessage = ({ data: { id, task, given } }) => {
        try { postMessage({ id, value: tasks(task, given) }); } catch (error) { postMessage({ id, error: error.message }); }
      };`;
    try {
      worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    } catch (refused) {
      here = backgroundTasks();
      return;
    }
    worker.onmessage = ({ data: { id, value, error } }) => {
      const { resolve, reject } = waiting.get(id);
      waiting.delete(id);
      answered = true;
      if (error === undefined) resolve(value); else reject(new Error(error));
    };
    worker.onerror = (event) => {
      event.preventDefault?.();
      const left = [...waiting.values()];
      waiting.clear();
      if (answered) { for (const { reject } of left) reject(new Error(event.message || "The work beside the page failed.")); return; }
      here = backgroundTasks();  // pages inside other pages may be refused a worker
      for (const { task, given, resolve, reject } of left) run(task, given).then(resolve, reject);
    };
  }

  function run(task, given) {
    if (!worker && !here) start();
    if (here) return new Promise((resolve) => setTimeout(resolve, 0)).then(() => here(task, given));
    return new Promise((resolve, reject) => {
      waiting.set(++next, { task, given, resolve, reject });
      worker.postMessage({ id: next, task, given });
    });
  }

  /* Send the codes of a space, once; later tasks speak of it by its name. */
  async function know(name, space) {
    if (known.has(name)) return;
    known.add(name);
    await run("space", { name, z: space.z, n: space.n, d: space.d, manifold: space.manifold });
  }

  /* The same for the decoder of the page. */
  async function knowDecoder(program) {
    if (known.has(program)) return;
    known.add(program);
    await run("decoder", program);
  }

  return { run, know, knowDecoder };
}

/* What panels share for the codes of a page: the measured space, or the sentence why there is none, and the worker. */
function engineOf(data) {
  if (data.engine) return data.engine;
  const search = neighbourSearch(), engine = { search, space: null, problem: "", background: createBackground(),
    shown: {} };
  if (!data.codes) engine.problem = "This page holds no codes, only a map of them, so nothing can be computed here.";
  else {
    try {
      engine.space = search.space(data.codes.values, data.count, data.codes.dim, data.codes.manifold);
    } catch (error) {
      engine.problem = error.message;
    }
  }
  const references = new Map();
  /* Distances to the k-th nearest other code, ascending: of all codes up to 2,000, of 500 where there are more. */
  engine.reference = (k) => {
    if (!references.has(k)) {
      const most = data.count <= 2000 ? data.count : 500;
      references.set(k, engine.background.know("codes", engine.space)
        .then(() => engine.background.run("reference", { space: "codes", k, most })));
    }
    return references.get(k);
  };
  data.engine = engine;
  return engine;
}

prepare((store, data) => {
  const { search, space } = engineOf(data);
  if (!space || data.count < 2) return;
  data.neighbours = (row, k) => {
    const found = search.nearest(space, search.row(space, row), Math.min(k, data.count - 1), row);
    return { index: found.indices, distance: found.distances, name: space.metric };
  };
});
