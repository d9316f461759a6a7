// Curves between two codes: straight, spherical, the closed geodesic of the space, and along the densest neighbours.
//
//   sphere, simplex (on square roots)   cos(t a) u + sin(t a) w,  a the angle of u and v, w the direction of v - <u, v> u
//   ball   exp_x(t log_x y), from the nearer end:  log: 2 f(h) ((y - x) - x |x - y|^2 / s(x)) / s(y),  f = asinh h / (h sqrt(1 + h^2)),
//          h^2 = |x - y|^2 / (s(x) s(y));  exp: x + s(x) (t^2 x + t u) / (1 + 2 t <x, u> + t^2 |x|^2), t = tanh(|e|/2)
//   density   shortest path over the graph of k nearest neighbours with the cost (distance)^2 an edge

function curveNumerics() {
  "use strict";
  const search = neighbourSearch();
  const EPS = 2.220446049250313e-16;

  function dot(a, b) { let sum = 0; for (let j = 0; j < a.length; j++) sum += a[j] * b[j]; return sum; }
  function norm(a) { return Math.sqrt(dot(a, a)); }
  function mix(a, b, s, t) { return Float64Array.from(a, (value, j) => s * value + t * b[j]); }
  function times(points) { return Array.from({ length: points }, (_, i) => i / (points - 1)); }

  function linear(a, b, points) { return times(points).map((t) => mix(a, b, 1 - t, t)); }

  // Angle of two unit vectors, the direction from u towards w and its sine, precise for near and for opposite ones.
  function turn(u, w) {
    const behind = dot(u, w) < 0;
    const short = mix(w, u, 1, behind ? 1 : -1), along = dot(u, short), part = mix(short, u, 1, -along);
    const sine = norm(part);
    return { angle: 2 * Math.atan2(norm(mix(u, w, 1, -1)), norm(mix(u, w, 1, 1))), part, sine,
      opposite: behind && sine < 8 * EPS };
  }

  // Spherical interpolation with the norm linear in t; straight where an end is zero or the two are parallel.
  function slerp(a, b, points) {
    const na = norm(a), nb = norm(b);
    if (na === 0 || nb === 0) return linear(a, b, points);
    const u = mix(a, a, 1 / na, 0), { angle, part, sine } = turn(u, mix(b, b, 1 / nb, 0));
    if (sine < 8 * EPS) return linear(a, b, points);
    return times(points).map((t) => {
      const length = (1 - t) * na + t * nb;
      return mix(u, part, length * Math.cos(t * angle), length * Math.sin(t * angle) / sine);
    });
  }

  function asinhc(square) {
    if (square < 1e-4) return 1 - square / 6 * (1 - 9 / 20 * square * (1 - 25 / 42 * square));
    return Math.asinh(Math.sqrt(square)) / Math.sqrt(square);
  }

  // log_x(y) in the orthonormal frame at x, for points of the ball of curvature -1.
  function ballLog(x, y) {
    const s = 1 - dot(x, x), end = 1 - dot(y, y), difference = mix(y, x, 1, -1), chord = dot(difference, difference);
    const square = chord / (s * end), factor = 2 * asinhc(square) / Math.sqrt(1 + square) / end;
    return mix(difference, x, factor, -factor * chord / s);
  }

  function ballExp(x, e) {
    const length = norm(e);
    if (length === 0) return Float64Array.from(x);
    const t = Math.tanh(length / 2), u = mix(e, e, 1 / length, 0), s = 1 - dot(x, x), w = 2 / (1 + Math.exp(length));
    const sum = mix(x, u, 1, 1);
    const d = t < 0.5 ? 1 + 2 * t * dot(x, u) + t * t * (1 - s) : w * w + t * (dot(sum, sum) + w * s);
    return Float64Array.from(x, (value, j) => value + s * (t * t * value + t * u[j]) / d);
  }

  // The geodesic from a to b as a function of t, which is 0 at a and 1 at b; it goes on beyond both.
  function geodesicOf(space, a, b) {
    if (space.kind === "PoincareBall") {
      const root = Math.sqrt(space.curvature), x = mix(a, a, root, 0), y = mix(b, b, root, 0), go = ballLog(x, y), back = ballLog(y, x);
      return (t) => (t < 0.5 ? ballExp(x, mix(go, go, t, 0)) : ballExp(y, mix(back, back, 1 - t, 0))).map((value) => value / root);
    }
    if (space.kind !== "Sphere" && space.kind !== "Simplex") return (t) => mix(a, b, 1 - t, t);
    const squared = space.kind === "Simplex", [u, w] = [a, b].map((z) => unit(squared ? Float64Array.from(z, Math.sqrt) : z));
    const { angle, part, sine, opposite } = turn(u, w);
    if (opposite) throw new Error("The two codes are antipodes of the sphere: no shortest path joins them.");
    const at = (t) => (sine > 0 ? mix(u, part, Math.cos(t * angle), Math.sin(t * angle) / sine) : Float64Array.from(u));
    return squared ? (t) => at(t).map((value) => value * value) : at;
  }

  // The shortest path of the space's own geometry, equidistant points.
  function geodesic(space, a, b, points) { return times(points).map(geodesicOf(space, a, b)); }

  function unit(a) { const length = norm(a); return mix(a, a, 1 / length, 0); }

  // The graph that joins every code to its k nearest, as neighbour lists {other, length} in both directions.
  function neighbourGraph(space, k) {
    const edges = Array.from({ length: space.n }, () => new Map());
    for (let i = 0; i < space.n; i++) {
      const { indices, distances } = search.nearest(space, search.row(space, i), k, i);
      indices.forEach((other, place) => {
        edges[i].set(other, distances[place]);
        edges[other].set(i, distances[place]);
      });
    }
    return edges;
  }

  // Dijkstra's shortest path over neighbour lists with the cost length^power; null where nothing joins the two.
  function shortest(edges, start, end, power = 2) {
    const cost = new Float64Array(edges.length).fill(Infinity), before = new Int32Array(edges.length).fill(-1);
    const heap = [[0, start]];
    cost[start] = 0;
    while (heap.length) {
      const [spent, here] = pop(heap);
      if (here === end) break;
      if (spent > cost[here]) continue;
      for (const [other, length] of edges[here]) {
        const through = spent + length ** power;
        if (through < cost[other]) { cost[other] = through; before[other] = here; push(heap, [through, other]); }
      }
    }
    if (cost[end] === Infinity) return null;
    const nodes = [end];
    while (nodes[0] !== start) nodes.unshift(before[nodes[0]]);
    return { nodes, cost: cost[end] };
  }

  function less(a, b) { return a[0] < b[0] || (a[0] === b[0] && a[1] < b[1]); }

  function push(heap, entry) {
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (!less(heap[at], heap[up])) break;
      [heap[at], heap[up]] = [heap[up], heap[at]];
      at = up;
    }
  }

  function pop(heap) {
    const top = heap[0], last = heap.pop();
    if (!heap.length) return top;
    heap[0] = last;
    for (let at = 0; ;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && less(heap[child + 1], heap[child])) child++;
      if (!less(heap[child], heap[at])) break;
      [heap[at], heap[child]] = [heap[child], heap[at]];
      at = child;
    }
    return top;
  }

  // Path from row a to row b through dense regions, over a seeded sample of at most `most` codes.
  function density(space, a, b, { k = 10, most = 2000, seed = 0, power = 2 } = {}) {
    const rows = [...new Set([a, b, ...search.sample(space.n, most, seed)])].sort((x, y) => x - y);
    const few = rows.length === space.n ? space : search.part(space, rows);
    const edges = neighbourGraph(few, Math.min(k, rows.length - 1));
    const found = shortest(edges, rows.indexOf(a), rows.indexOf(b), power);
    return found && { nodes: found.nodes.map((i) => rows[i]), cost: found.cost, among: rows.length };
  }

  // Points at equal arc length along a chain of codes, each piece a geodesic of the space.
  function resampled(space, chain, points) {
    const lengths = chain.slice(1).map((code, i) => search.distance(space, chain[i], code));
    const total = lengths.reduce((sum, length) => sum + length, 0);
    let piece = 0, passed = 0;
    return times(points).map((t) => {
      const goal = t * total;
      while (piece < lengths.length - 1 && passed + lengths[piece] < goal) passed += lengths[piece++];
      if (!lengths.length || total === 0) return Float64Array.from(chain[0]);
      return geodesicOf(space, chain[piece], chain[piece + 1])(lengths[piece] > 0 ? Math.min(1, (goal - passed) / lengths[piece]) : 0);
    });
  }

  // Where a goes when the space is moved along the geodesic from b to c: reflected in the middle of b and c, and in c.
  // In flat space it is a - b + c.
  function carried(space, a, b, c) {
    const reflected = (z, centre) => geodesicOf(space, z, centre)(2);
    return reflected(reflected(a, geodesicOf(space, b, c)(0.5)), c);
  }

  // Distances to the k-th nearest other code of a seeded sample of codes, ascending: what "near the data" means.
  function reference(space, k, most, seed = 0) {
    const rows = search.sample(space.n, most, seed);
    return Float64Array.from(rows, (i) => search.nearest(space, search.row(space, i), k, i).distances[k - 1]).sort();
  }

  // Distance of a query to its k-th nearest code, without a code that it is itself.
  function far(space, query, k) {
    const { distances } = search.nearest(space, query, k + 1);
    return distances[0] === 0 ? distances[k] : distances[k - 1];
  }

  // Share of the reference that is nearer than the value, in percent.
  function percentile(sorted, value) {
    let low = 0, high = sorted.length;
    while (low < high) { const middle = (low + high) >> 1; if (sorted[middle] < value) low = middle + 1; else high = middle; }
    return 100 * low / sorted.length;
  }

  return { linear, slerp, geodesic, density, resampled, carried, reference, far, percentile, ballLog, ballExp, turn, dot, norm,
    unit, mix };
}
