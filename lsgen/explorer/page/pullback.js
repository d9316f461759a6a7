// The shortest path of decoded values between two codes: codes z_i at equal steps in the metric g = J'J of a decoder f.
//
//   energy     sum |f(z_i+1) - f(z_i)|^2, least where J_i' (f_i+1 - 2 f_i + f_i-1) = 0 at every inner code
//   residual   n^2 max_i |G_i^-1 J_i' (f_i+1 - 2 f_i + f_i-1)|_g / length, of n segments
//
// Gauss-Newton steps with damping (Levenberg and Marquardt); the normal equations are block tridiagonal, with blocks
// 2 J_i'J_i and -J_i'J_i+1. Derivatives are central differences of the decoder.

function pullbackNumerics() {
  "use strict";

  // Lower Cholesky factor of a symmetric matrix (d x d), or null where it is not positive.
  function cholesky(matrix, d) {
    const l = new Float64Array(d * d);
    for (let i = 0; i < d; i++) for (let j = 0; j <= i; j++) {
      let sum = matrix[i * d + j];
      for (let k = 0; k < j; k++) sum -= l[i * d + k] * l[j * d + k];
      if (i === j && !(sum > 0)) return null;
      l[i * d + j] = i === j ? Math.sqrt(sum) : sum / l[j * d + j];
    }
    return l;
  }

  // Solves L L' x = y for columns: y is (d x w), row after row; returns x of the same shape.
  function solved(l, d, y, w) {
    const x = Float64Array.from(y);
    for (let c = 0; c < w; c++) {
      for (let i = 0; i < d; i++) {
        for (let k = 0; k < i; k++) x[i * w + c] -= l[i * d + k] * x[k * w + c];
        x[i * w + c] /= l[i * d + i];
      }
      for (let i = d - 1; i >= 0; i--) {
        for (let k = i + 1; k < d; k++) x[i * w + c] -= l[k * d + i] * x[k * w + c];
        x[i * w + c] /= l[i * d + i];
      }
    }
    return x;
  }

  // A'B of columns, each an array of as many values: (columns of A x columns of B).
  function inner(a, b) {
    const out = new Float64Array(a.length * b.length);
    a.forEach((u, i) => b.forEach((v, j) => {
      let sum = 0;
      for (let k = 0; k < u.length; k++) sum += u[k] * v[k];
      out[i * b.length + j] = sum;
    }));
    return out;
  }

  function energy(f) {
    let sum = 0;
    for (let i = 1; i < f.length; i++) for (let k = 0; k < f[i].length; k++) sum += (f[i][k] - f[i - 1][k]) ** 2;
    return sum;
  }

  function lengthOf(f) {
    let sum = 0;
    for (let i = 1; i < f.length; i++) sum += Math.sqrt(energy([f[i - 1], f[i]]));
    return sum;
  }

  // Columns of the Jacobian at a code.
  function jacobian(decode, z, h) {
    return Array.from(z, (value, j) => {
      const up = Float64Array.from(z), down = Float64Array.from(z);
      up[j] += h; down[j] -= h;
      const high = decode(up), low = decode(down);
      return Float64Array.from(high, (one, k) => (one - low[k]) / (2 * h));
    });
  }

  // The damped step of all inner codes, by elimination of one block after the other.
  function step(blocks, coupling, gradient, d, damping) {
    const factors = [], rights = [];
    for (let i = 0; i < blocks.length; i++) {
      const matrix = Float64Array.from(blocks[i], (value) => 2 * value), right = gradient[i].map((value) => -value);
      for (let j = 0; j < d; j++) matrix[j * d + j] += damping;
      if (i > 0) {
        const before = coupling[i - 1].map((value) => -value), moved = solved(factors[i - 1], d, before, d), carried = solved(factors[i - 1], d, rights[i - 1], 1);
        for (let j = 0; j < d; j++) for (let k = 0; k < d; k++) {
          right[j] -= before[k * d + j] * carried[k];
          for (let c = 0; c < d; c++) matrix[j * d + c] -= before[k * d + j] * moved[k * d + c];
        }
      }
      const factor = cholesky(matrix, d);
      if (!factor) return null;
      factors.push(factor); rights.push(right);
    }
    const steps = new Array(blocks.length);
    for (let i = blocks.length - 1; i >= 0; i--) {
      const right = Float64Array.from(rights[i]);
      if (i + 1 < blocks.length) for (let j = 0; j < d; j++) for (let c = 0; c < d; c++) right[j] += coupling[i][j * d + c] * steps[i + 1][c];
      steps[i] = solved(factors[i], d, right, 1);
    }
    return steps;
  }

  // Returns {points, length, residual, converged, rounds} of the path from a to b.
  function geodesic(decode, a, b, points, { rounds = 60, tolerance = 2e-3 } = {}) {
    const d = a.length, n = points - 1, apart = Math.hypot(...Array.from(a, (value, j) => value - b[j])), h = 1e-2 * apart / Math.sqrt(d);
    let z = Array.from({ length: points }, (_, i) => Float64Array.from(a, (value, j) => value + (b[j] - value) * i / n));
    let f = z.map((code) => Float64Array.from(decode(code))), spent = energy(f), damping = 0, residual = Infinity, round = 0;
    for (; round < rounds; round++) {
      const jacobians = z.slice(1, -1).map((code) => jacobian(decode, code, h)), blocks = jacobians.map((j) => inner(j, j));
      const coupling = jacobians.slice(1).map((next, i) => inner(jacobians[i], next));
      const gradient = jacobians.map((columns, i) => inner(columns, [f[i + 1].map((value, k) => 2 * value - f[i][k] - f[i + 2][k])]));
      const scale = blocks.reduce((sum, block) => sum + block.reduce((all, value, at) => all + (at % (d + 1) ? 0 : value), 0), 0) / (blocks.length * d);
      residual = Math.max(...gradient.map((g, i) => {
        const factor = cholesky(blocks[i].map((value, at) => value + (at % (d + 1) ? 0 : 1e-9 * scale)), d);
        return factor ? Math.sqrt(Math.max(0, solved(factor, d, g, 1).reduce((sum, value, j) => sum + value * g[j], 0))) : NaN;
      })) * n * n / lengthOf(f);
      if (residual < tolerance || !(scale > 0)) break;
      damping = Math.max(damping, 1e-6 * scale);
      let better = false;
      for (let attempt = 0; attempt < 12 && !better; attempt++) {
        const steps = step(blocks, coupling, gradient, d, damping);
        const tried = steps && z.map((code, i) => (i > 0 && i < n ? code.map((value, j) => value + steps[i - 1][j]) : code));
        const decoded = tried && tried.map((code, i) => (i > 0 && i < n ? Float64Array.from(decode(code)) : f[i]));
        if (decoded && energy(decoded) < spent) {
          z = tried; f = decoded; spent = energy(f); damping /= 4; better = true;
        } else damping *= 6;
      }
      if (!better) break;
    }
    return { points: z, length: lengthOf(f), residual, converged: residual < tolerance, rounds: round };
  }

  return { geodesic };
}
