// The direction of an attribute: the difference D of the mean codes of two groups, and how far it can be trusted.
//
//   reliability   rho = max(0, 1 - (tr S_a/n_a + tr S_b/n_b) / |D|^2)     S the unbiased covariances of the groups
//   p             (1 + #{shuffles with |D|^2 / T at least as large}) / (1 + shuffles),  T = tr S_a/n_a + tr S_b/n_b
//   AUC           of held-out codes projected on the direction of the others, over the pairs within five folds
//   cosine        s_ij / (|D_i| |D_j| sqrt(rho_i rho_j)),  s_ij = D_i . D_j - sum over shared codes of g_iu . g_ju,
//                 with what code u adds to the noise, g_u = (z_u - m) / sqrt(n (n - 1)); interval by the jackknife
//
// On a sphere, in a ball and on a simplex all of it is done with the tangent vectors at the Frechet mean of
// all codes, in units of length of the space.

function directionNumerics() {
  "use strict";
  const search = neighbourSearch(), curves = curveNumerics();
  const { dot, mix, unit } = curves;

  // Returns {base, length, vectors}: all codes (N x d) as vectors of one flat space; base is null where it is flat itself.
  function flattened(space) {
    const { d, n, kind } = space;
    if (kind === "Euclidean" || kind === "Cosine") return { base: null, length: 1, vectors: space.z };
    if (space.flat) return space.flat;
    const points = Array.from({ length: n }, (_, i) => space.features.subarray(i * d, (i + 1) * d));
    const base = frechetMean(kind, points), vectors = new Float64Array(n * d);
    const length = kind === "PoincareBall" ? 1 / Math.sqrt(space.curvature) : kind === "Simplex" ? 2 : 1;
    points.forEach((point, i) => vectors.set(logAt(kind, base, point).map((value) => length * value), i * d));
    return (space.flat = { base, length, vectors });
  }

  // Vectors of the ball are displacements in the orthonormal frame at the base, of curvature -1.
  function logAt(kind, base, point) {
    if (kind === "PoincareBall") return curves.ballLog(base, point);
    const { angle, part, sine, opposite } = curves.turn(base, point);
    if (opposite) throw new Error("A code is the antipode of the mean: it has no direction from there.");
    return mix(part, part, sine > 0 ? angle / sine : 1, 0);
  }

  function expAt(kind, base, vector) {
    if (kind === "PoincareBall") return curves.ballExp(base, vector);
    const length = curves.norm(vector);
    return length === 0 ? base : mix(base, vector, Math.cos(length), Math.sin(length) / length);
  }

  function frechetMean(kind, points) {
    let base = new Float64Array(points[0].length);
    for (const point of points) for (let j = 0; j < base.length; j++) base[j] += point[j] / points.length;
    if (kind !== "PoincareBall") {
      if (curves.norm(base) < 1e-9) throw new Error("The codes have no mean on the sphere: they cancel each other.");
      base = unit(base);
    }
    for (let turns = 0; turns < 100; turns++) {
      const step = new Float64Array(base.length);
      for (const point of points) {
        const log = logAt(kind, base, point);
        for (let j = 0; j < step.length; j++) step[j] += log[j] / points.length;
      }
      base = expAt(kind, base, step);
      if (curves.norm(step) < 1e-10) break;
    }
    return base;
  }

  function mean(vectors, d, places) {
    const out = new Float64Array(d);
    for (const i of places) for (let j = 0; j < d; j++) out[j] += vectors[i * d + j];
    return out.map((value) => value / places.length);
  }

  // tr S / n of a group: the expected squared error of its mean.
  function noise(vectors, d, places, centre) {
    let sum = 0;
    for (const i of places) for (let j = 0; j < d; j++) sum += (vectors[i * d + j] - centre[j]) ** 2;
    return sum / (places.length - 1) / places.length;
  }

  function span(from, to) { return Array.from({ length: to - from }, (_, i) => from + i); }

  // Returns {vector (from b to a), length, rho, ...} of two groups of rows, each of at least two codes, none in both.
  function direction(space, a, b) {
    if (a.length < 2 || b.length < 2) throw new Error(`Each group needs at least 2 items; they have ${a.length} and ${b.length}.`);
    const both = new Set(a);
    if (b.some((i) => both.has(i))) throw new Error("An item is in both groups; the groups must not share items.");
    const { base, vectors: every } = flattened(space), { d, n } = space, rows = [...a, ...b];
    const vectors = new Float64Array(rows.length * d);
    rows.forEach((row, i) => vectors.set(every.subarray(row * d, (row + 1) * d), i * d));
    const one = span(0, a.length), other = span(a.length, a.length + b.length);
    const ma = mean(vectors, d, one), mb = mean(vectors, d, other), vector = mix(ma, mb, 1, -1);
    const square = dot(vector, vector), error = noise(vectors, d, one, ma) + noise(vectors, d, other, mb);
    const rho = square > 0 ? Math.max(0, 1 - error / square) : 0;
    const unit = square > 0 ? mix(vector, vector, 1 / Math.sqrt(square), 0) : vector;
    const centre = mean(vectors, d, span(0, a.length + b.length));
    const projections = Float64Array.from(span(0, a.length + b.length), (i) => along(vectors, d, i, unit, centre));
    let sum = 0, squares = 0;
    for (let i = 0; i < n; i++) sum += along(every, d, i, unit) / n;
    for (let i = 0; i < n; i++) squares += (along(every, d, i, unit) - sum) ** 2 / n;
    return { vector, unit, base, rho, means: [ma, mb], rows, length: Math.sqrt(square), sd: Math.sqrt(squares), projections, counts: [a.length, b.length],
      vectors, d };
  }

  function along(vectors, d, i, unit, centre) {
    let sum = 0;
    for (let j = 0; j < d; j++) sum += (vectors[i * d + j] - (centre ? centre[j] : 0)) * unit[j];
    return sum;
  }

  // Permutation p-value: the groups are shuffled `times` times with a seed. |D|^2 is compared over its noise T, as groups
  // of unequal size and spread have a long D without a difference of their means.
  function permutation(vectors, d, na, nb, times = 999, seed = 0) {
    const n = na + nb, all = span(0, n), centre = mean(vectors, d, all), x = new Float64Array(n * d), length = new Float64Array(n);
    for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) x[i * d + j] = vectors[i * d + j] - centre[j];
    for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) length[i] += x[i * d + j] ** 2;
    const whole = length.reduce((sum, value) => sum + value, 0);
    const m = Math.min(na, nb), rest = n - m, next = search.uniform(seed), order = Int32Array.from(all), sum = new Float64Array(d);
    let inside = 0;
    const ratio = () => {  // of the group of m whose sum and sum of squares these are; those of the others are the rest
      let own = 0;
      for (let j = 0; j < d; j++) own += sum[j] * sum[j];
      const square = own * (1 / m + 1 / rest) ** 2;
      const error = (inside - own / m) / (m * (m - 1)) + (whole - inside - own / rest) / (rest * (rest - 1));
      return square === 0 ? 0 : error * 1e12 > square ? square / error : 1e12;
    };
    const first = na <= nb ? 0 : na;
    for (let i = first; i < first + m; i++) {
      inside += length[i];
      for (let j = 0; j < d; j++) sum[j] += x[i * d + j];
    }
    const observed = ratio();
    let reached = 0;
    for (let turn = 0; turn < times; turn++) {
      sum.fill(0);
      inside = 0;
      for (let i = 0; i < m; i++) {
        const pick = i + Math.floor(next() * (n - i)), row = order[pick];
        order[pick] = order[i];
        order[i] = row;
        inside += length[row];
        for (let j = 0, at = row * d; j < d; j++) sum[j] += x[at + j];
      }
      if (ratio() >= observed * (1 - 1e-9)) reached++;
    }
    return (1 + reached) / (1 + times);
  }

  // Share of pairs whose first value is higher, ties count half.
  function auc(above, below) {
    const all = [...Array.from(above, (value) => [value, 1]), ...Array.from(below, (value) => [value, 0])];
    all.sort((p, q) => p[0] - q[0]);
    let ranks = 0;
    for (let i = 0; i < all.length;) {
      let end = i;
      while (end < all.length && all[end][0] === all[i][0]) end++;
      for (let j = i; j < end; j++) if (all[j][1]) ranks += (i + end + 1) / 2;
      i = end;
    }
    return (ranks - above.length * (above.length + 1) / 2) / (above.length * below.length);
  }

  // Cross-validated AUC; null where a group has fewer codes than folds.
  function crossValidated(vectors, d, na, nb, folds = 5, seed = 0) {
    if (Math.min(na, nb) < folds) return null;
    const next = search.uniform(seed), groups = [span(0, na), span(na, na + nb)].map((rows) => shuffled(rows, next));
    let right = 0, pairs = 0;
    for (let fold = 0; fold < folds; fold++) {
      const [a, b] = groups.map((rows) => ({ in: rows.filter((_, i) => i % folds !== fold),
        out: rows.filter((_, i) => i % folds === fold) }));
      const unit = mix(mean(vectors, d, a.in), mean(vectors, d, b.in), 1, -1);
      const some = a.out.length * b.out.length, [above, below] = [a, b].map((part) => part.out.map((i) => along(vectors, d, i, unit)));
      right += some * auc(above, below);
      pairs += some;
    }
    return right / pairs;
  }

  function shuffled(rows, next) {
    for (let i = rows.length - 1; i > 0; i--) {
      const j = Math.floor(next() * (i + 1));
      [rows[i], rows[j]] = [rows[j], rows[i]];
    }
    return rows;
  }

  // What the i-th code of a direction adds to its noise.
  function part(found, i) {
    const group = i < found.counts[0] ? 0 : 1, n = found.counts[group], sign = (group ? -1 : 1) / Math.sqrt(n * (n - 1));
    return Float64Array.from(found.means[group], (centre, j) => sign * (found.vectors[i * found.d + j] - centre));
  }

  // Cosine of two directions, as it is and corrected for noise with a 95 % interval; null where a rho is 0.
  function cosine(one, other) {
    const plain = dot(one.unit, other.unit), place = new Map(other.rows.map((row, i) => [row, i]));
    if (!(one.rho > 0 && other.rho > 0)) return { plain, corrected: null };
    const own = [one, other].map((found) => found.rho * found.length ** 2), scale = Math.sqrt(own[0] * own[1]);
    let shared = 0, inner = dot(one.vector, other.vector);
    const parts = one.rows.map((row, i) => {
      const g = part(one, i), at = place.get(row), h = at === undefined ? null : part(other, at);
      place.delete(row);
      if (h) { shared++; inner -= dot(g, h); }
      return [g, h];
    });
    for (const i of place.values()) parts.push([null, part(other, i)]);
    const value = inner / scale;
    let variance = 0;
    for (const [g, h] of parts) {
      let psi = 0;
      if (g) psi += dot(g, other.vector) / scale - value * dot(g, one.vector) / own[0];
      if (h) psi += dot(h, one.vector) / scale - value * dot(h, other.vector) / own[1];
      variance += psi * psi;
    }
    const half = 1.959963984540054 * Math.sqrt(variance), clip = (c) => Math.max(-1, Math.min(1, c));
    return { plain, corrected: clip(value), low: clip(value - half), high: clip(value + half), shared };
  }

  // The code alpha standard deviations of all codes further along a direction, in the flat space at the mean.
  function moved(space, z, found, alpha) {
    const { base, length } = flattened(space), { kind, curvature } = space, root = Math.sqrt(curvature);
    const step = alpha * found.sd;
    if (!base) return mix(Float64Array.from(z), found.unit, 1, step);
    const start = kind === "PoincareBall" ? Float64Array.from(z, (value) => value * root)
      : unit(kind === "Simplex" ? Float64Array.from(z, Math.sqrt) : z);
    const end = expAt(kind, base, mix(logAt(kind, base, start), found.unit, 1, step / length));
    if (kind === "PoincareBall") return end.map((value) => value / root);
    return kind === "Simplex" ? end.map((value) => value * value) : end;
  }

  return { flattened, direction, permutation, crossValidated, auc, cosine, moved };
}
