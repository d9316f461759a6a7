// Exact nearest neighbours of a query among N codes of d coordinates, in the metric of their space.
//
//   Euclidean   |x - y|
//   cosine      |u - w|^2 / 2                                   u = x/|x|, w = y/|y|
//   sphere      2 atan2(|u - w|, |u + w|)
//   simplex     4 atan2(|u - w|, |u + w|)                       u, w the directions of the square roots
//   ball        2 asinh(|x - y| / sqrt(s(x) s(y))) / sqrt c     s = 1 - |x|^2, codes times sqrt c
//
// Each grows with the squared chord, over s(y) in the ball: 1 + 2 |x - y|^2 / (s(x) s(y)) is the Lorentz product of
// the two points with its sign turned, without its cancellation. Chords of all codes are found in double precision;
// those within rounding of the k-th are measured and sorted, ties by the lower index.

function neighbourSearch() {
  "use strict";
  const NAMES = { Euclidean: "Euclidean distance", Cosine: "cosine distance", Sphere: "angle (radians)",
    Simplex: "Fisher-Rao distance", PoincareBall: "hyperbolic distance" };

  // Returns the direction of `count` numbers from `start`, scaled by the largest first, or throws where there is none.
  function direction(z, start, count, root) {
    const out = new Float64Array(count);
    let largest = 0;
    for (let j = 0; j < count; j++) {
      out[j] = root ? Math.sqrt(z[start + j]) : z[start + j];
      largest = Math.max(largest, Math.abs(out[j]));
    }
    if (!(largest > 0)) throw new Error("A code is zero, and a zero vector has no direction.");
    let square = 0;
    for (let j = 0; j < count; j++) { out[j] /= largest; square += out[j] * out[j]; }
    const length = Math.sqrt(square);
    for (let j = 0; j < count; j++) out[j] /= length;
    return out;
  }

  function featureOf(kind, c, z, start, d) {
    if (kind === "Euclidean") return z.subarray ? z.subarray(start, start + d) : z.slice(start, start + d);
    if (kind === "PoincareBall") {
      const out = new Float64Array(d), scale = Math.sqrt(c);
      for (let j = 0; j < d; j++) out[j] = scale * z[start + j];
      return out;
    }
    if (kind === "Simplex") {
      let sum = 0;
      for (let j = 0; j < d; j++) {
        if (!(z[start + j] >= 0)) throw new Error("A code is no probability vector: it has a negative part.");
        sum += z[start + j];
      }
      if (Math.abs(sum - 1) > 0.03 * Math.sqrt(d)) throw new Error("A code is no probability vector: its sum is not 1.");
    }
    return direction(z, start, d, kind === "Simplex");
  }

  function gapOf(features, start, d) {
    let square = 0;
    for (let j = 0; j < d; j++) square += features[start + j] * features[start + j];
    return 1 - square;
  }

  // Returns a space: {z (N x d, row after row), n, d, kind, ...}; `manifold` is {type, arguments} as Python describes it.
  function space(z, n, d, manifold, cosine = false) {
    const kind = cosine ? "Cosine" : manifold.type;
    if (!NAMES[kind]) throw new Error(`The page cannot measure distances on ${kind}; it knows flat space, spheres, ` +
      "the Poincaré ball and the simplex.");
    const c = kind === "PoincareBall" ? Number(manifold.arguments[0] ?? 1) : 1;
    const made = { z, n, d, kind, curvature: c, metric: NAMES[kind], manifold, features: z, gaps: null };
    for (let i = 0; i < n * d; i++) if (!Number.isFinite(z[i])) {
      throw new Error(`The code of row ${Math.floor(i / d)} is not finite, so no distances are measured.`);
    }
    if (kind !== "Euclidean") {
      made.features = new Float64Array(n * d);
      for (let i = 0; i < n; i++) made.features.set(featureOf(kind, c, z, i * d, d), i * d);
    }
    if (kind === "PoincareBall") {
      made.gaps = new Float64Array(n);
      for (let i = 0; i < n; i++) {
        made.gaps[i] = gapOf(made.features, i * d, d);
        if (!(made.gaps[i] > 0)) throw new Error(`The code of row ${i} lies on the rim of the ball at this precision.`);
      }
    }
    return made;
  }

  function prepared(space, query) {
    const f = featureOf(space.kind, space.curvature, query, 0, space.d);
    const gap = space.gaps ? gapOf(f, 0, space.d) : 1;
    if (!(gap > 0)) throw new Error("The query lies outside the ball.");
    return { f, gap };
  }

  // Distance of a prepared query and the features of row i.
  function measured(space, q, i) {
    const { features, d, kind, gaps, curvature } = space, f = q.f, start = i * d;
    let minus = 0, plus = 0;
    for (let j = 0; j < d; j++) {
      const a = f[j] - features[start + j], b = f[j] + features[start + j];
      minus += a * a;
      plus += b * b;
    }
    if (kind === "Euclidean") return Math.sqrt(minus);
    if (kind === "Cosine") return minus / 2;
    if (kind === "PoincareBall") return 2 * Math.asinh(Math.sqrt(minus) / Math.sqrt(q.gap * gaps[i])) / Math.sqrt(curvature);
    return (kind === "Simplex" ? 4 : 2) * Math.atan2(Math.sqrt(minus), Math.sqrt(plus));
  }

  function distance(space, a, b) {
    const pair = { ...space, n: 1, features: featureOf(space.kind, space.curvature, b, 0, space.d) };
    if (space.gaps) pair.gaps = [gapOf(pair.features, 0, space.d)];
    return measured(pair, prepared(space, a), 0);
  }

  function chords(space, q, keys) {
    const { features, n, d, gaps } = space, f = Float64Array.from(q.f), whole = d - (d % 4);
    for (let i = 0, at = 0; i < n; i++, at += d) {
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0, j = 0;
      for (; j < whole; j += 4) {
        const a = f[j] - features[at + j], b = f[j + 1] - features[at + j + 1];
        const c = f[j + 2] - features[at + j + 2], e = f[j + 3] - features[at + j + 3];
        s0 += a * a; s1 += b * b; s2 += c * c; s3 += e * e;
      }
      for (; j < d; j++) { const a = f[j] - features[at + j]; s0 += a * a; }
      keys[i] = (s0 + s1) + (s2 + s3);
    }
    if (gaps) for (let i = 0; i < n; i++) keys[i] /= gaps[i];
  }

  // The k-th smallest of the keys, by a heap of the k smallest, its largest on top.
  function kth(keys, n, k) {
    const heap = new Float64Array(k).fill(Infinity);
    for (let i = 0; i < n; i++) {
      const key = keys[i];
      if (!(key < heap[0])) continue;
      let at = 0;
      for (;;) {
        let child = 2 * at + 1;
        if (child >= k) break;
        if (child + 1 < k && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= key) break;
        heap[at] = heap[child];
        at = child;
      }
      heap[at] = key;
    }
    return heap[0];
  }

  // Returns {indices, distances} of the k nearest codes, nearest first; `without` is a row that is left out, or -1. Until
  // the next search `space.keys` holds numbers (N,) in the order of all distances, infinite for the row that is left out.
  function nearest(space, query, k, without = -1) {
    const most = space.n - (without >= 0 ? 1 : 0);
    if (!(k >= 1 && k <= most)) throw new Error(`There are ${most} other codes, and ${k} neighbours were asked for.`);
    const q = prepared(space, query), keys = space.keys ??= new Float64Array(space.n);
    chords(space, q, keys);
    if (without >= 0) keys[without] = Infinity;
    const limit = kth(keys, space.n, k) * (1 + 1e-12) + 1e-300, found = [];
    for (let i = 0; i < space.n; i++) {
      if (keys[i] <= limit && i !== without) found.push({ i, far: measured(space, q, i) });
    }
    found.sort((a, b) => a.far - b.far || a.i - b.i);
    return { indices: Int32Array.from(found.slice(0, k), (one) => one.i),
      distances: Float64Array.from(found.slice(0, k), (one) => one.far) };
  }

  function row(space, i) { return space.z.subarray(i * space.d, (i + 1) * space.d); }

  // How many codes are nearer to the query than row i, plus one; ties go to the lower index.
  function rank(space, query, i, without = []) {
    const q = prepared(space, query), own = measured(space, q, i), skip = new Set(without);
    let place = 1;
    for (let other = 0; other < space.n; other++) {
      if (other === i || skip.has(other)) continue;
      const far = measured(space, q, other);
      if (far < own || (far === own && other < i)) place++;
    }
    return place;
  }

  // Returns the space of some rows alone.
  function part(space, rows) {
    const z = new Float32Array(rows.length * space.d);
    rows.forEach((i, place) => z.set(row(space, i), place * space.d));
    return makeAgain(space, z, rows.length);
  }

  function makeAgain(like, z, n) { return space(z, n, like.d, like.manifold, like.kind === "Cosine"); }

  // A generator of uniform numbers in [0, 1) that repeats for a seed (mulberry32, 32 bits).
  function uniform(seed) {
    let state = seed >>> 0;
    return () => {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = Math.imul(state ^ (state >>> 15), 1 | state);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  // m different whole numbers below n, in ascending order, drawn by a seed; all of them where m >= n.
  function sample(n, m, seed) {
    const all = Array.from({ length: n }, (_, i) => i);
    if (m >= n) return all;
    const next = uniform(seed);
    for (let i = 0; i < m; i++) {
      const j = i + Math.floor(next() * (n - i));
      [all[i], all[j]] = [all[j], all[i]];
    }
    return all.slice(0, m).sort((a, b) => a - b);
  }

  return { space, nearest, distance, rank, row, part, uniform, sample };
}
