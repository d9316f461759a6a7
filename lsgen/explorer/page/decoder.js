"use strict";
// The decoder of the model, run by the page: an interpreter of the steps that lsgen/explorer/instructions.py writes.
//
// decoderEngine(program) -> {size, decode(Float32Array(d)) -> Float32Array(size), check() -> {error, codes}}
//   program: {steps, weights: {name: Float32Array}, shape, low, high}
// The function uses nothing outside itself, so that a worker can be made of its text.
function decoderEngine(program) {
  const erf = (x) => {
    // Abramowitz & Stegun 7.1.26, absolute error below 1.5e-7.
    const t = 1 / (1 + 0.3275911 * Math.abs(x));
    const series = ((((1.061405429 * t - 1.453152027) * t + 1.421413741) * t - 0.284496736) * t + 0.254829592) * t;
    return Math.sign(x) * (1 - series * Math.exp(-x * x));
  };
  const even = (x) => {
    const r = Math.round(x);
    return Math.abs(x % 1) === 0.5 && r % 2 !== 0 ? r - 1 : r;
  };
  const sigmoid = (x) => 1 / (1 + Math.exp(-x));
  const unary = {
    abs: Math.abs, acosh: Math.acosh, asin: Math.asin, asinh: Math.asinh, atan: Math.atan, atanh: Math.atanh,
    ceil: Math.ceil, cos: Math.cos, cosh: Math.cosh, erf, exp: Math.exp, expm1: Math.expm1, floor: Math.floor,
    log: Math.log, log1p: Math.log1p, logical_not: (x) => (x ? 0 : 1), neg: (x) => -x, reciprocal: (x) => 1 / x,
    relu: (x) => (x > 0 ? x : x === x ? 0 : x), round: even, rsqrt: (x) => 1 / Math.sqrt(x), sigmoid,
    sign: Math.sign, silu: (x) => x * sigmoid(x), sin: Math.sin, sinh: Math.sinh, sqrt: Math.sqrt, tan: Math.tan,
    tanh: Math.tanh, gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
    gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(0.7978845608028654 * (x + 0.044715 * x * x * x))),
    clamp: (x, low, high) => (low !== null && x < low ? low : high !== null && x > high ? high : x),
    elu: (x, alpha, scale, inside) => (x > 0 ? scale * x : scale * alpha * Math.expm1(x * inside)),
    leaky_relu: (x, slope) => (x > 0 ? x : slope * x),
    softplus: (x, beta, threshold) => (x * beta > threshold ? x : Math.log1p(Math.exp(x * beta)) / beta),
  };
  const binary = {
    add: (a, b) => a + b, atan2: Math.atan2, bitwise_and: (a, b) => a & b, bitwise_or: (a, b) => a | b,
    div: (a, b) => a / b, eq: (a, b) => +(a === b), ge: (a, b) => +(a >= b), gt: (a, b) => +(a > b),
    le: (a, b) => +(a <= b), logical_and: (a, b) => +(a && b ? 1 : 0), logical_or: (a, b) => +(a || b ? 1 : 0),
    lt: (a, b) => +(a < b), maximum: Math.max, minimum: Math.min, mul: (a, b) => a * b, ne: (a, b) => +(a !== b),
    pow: Math.pow, sub: (a, b) => a - b,
  };

  // Calls visit(place, [indices]) for every place of a shape, the indices of each input moving by its strides.
  const along = (shape, strides, offsets, visit) => {
    const inner = shape.length - 1, n = shape[inner];
    const count = shape.slice(0, inner).reduce((a, b) => a * b, 1);
    const at = new Int32Array(inner), index = Int32Array.from(offsets);
    let place = 0;
    for (let run = 0; run < count; run++) {
      visit(place, index, n);
      place += n;
      for (let d = inner - 1; d >= 0; d--) {
        for (let i = 0; i < index.length; i++) index[i] += strides[i][d];
        if (++at[d] < shape[d]) break;
        for (let i = 0; i < index.length; i++) index[i] -= strides[i][d] * shape[d];
        at[d] = 0;
      }
    }
  };

  // out (rows x columns) += a (rows x inner) times b, given as (columns x inner): sixteen sums at a time.
  const multiply = (a, a0, b, b0, out, o0, rows, inner, columns) => {
    let r = 0;
    for (; r + 4 <= rows; r += 4) {
      const p0 = a0 + r * inner, p1 = p0 + inner, p2 = p1 + inner, p3 = p2 + inner;
      let c = 0;
      for (; c + 4 <= columns; c += 4) {
        const q0 = b0 + c * inner, q1 = q0 + inner, q2 = q1 + inner, q3 = q2 + inner;
        let s00 = 0, s01 = 0, s02 = 0, s03 = 0, s10 = 0, s11 = 0, s12 = 0, s13 = 0;
        let s20 = 0, s21 = 0, s22 = 0, s23 = 0, s30 = 0, s31 = 0, s32 = 0, s33 = 0;
        for (let k = 0; k < inner; k++) {
          const x0 = a[p0 + k], x1 = a[p1 + k], x2 = a[p2 + k], x3 = a[p3 + k];
          const y0 = b[q0 + k], y1 = b[q1 + k], y2 = b[q2 + k], y3 = b[q3 + k];
          s00 += x0 * y0; s01 += x0 * y1; s02 += x0 * y2; s03 += x0 * y3;
          s10 += x1 * y0; s11 += x1 * y1; s12 += x1 * y2; s13 += x1 * y3;
          s20 += x2 * y0; s21 += x2 * y1; s22 += x2 * y2; s23 += x2 * y3;
          s30 += x3 * y0; s31 += x3 * y1; s32 += x3 * y2; s33 += x3 * y3;
        }
        let o = o0 + r * columns + c;
        out[o] += s00; out[o + 1] += s01; out[o + 2] += s02; out[o + 3] += s03; o += columns;
        out[o] += s10; out[o + 1] += s11; out[o + 2] += s12; out[o + 3] += s13; o += columns;
        out[o] += s20; out[o + 1] += s21; out[o + 2] += s22; out[o + 3] += s23; o += columns;
        out[o] += s30; out[o + 1] += s31; out[o + 2] += s32; out[o + 3] += s33;
      }
      for (; c < columns; c++) {
        const q = b0 + c * inner;
        let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (let k = 0; k < inner; k++) {
          const y = b[q + k];
          s0 += a[p0 + k] * y; s1 += a[p1 + k] * y; s2 += a[p2 + k] * y; s3 += a[p3 + k] * y;
        }
        const o = o0 + r * columns + c;
        out[o] += s0; out[o + columns] += s1; out[o + 2 * columns] += s2; out[o + 3 * columns] += s3;
      }
    }
    for (; r < rows; r++) {
      const p = a0 + r * inner;
      let c = 0;
      for (; c + 4 <= columns; c += 4) {
        const q0 = b0 + c * inner, q1 = q0 + inner, q2 = q1 + inner, q3 = q2 + inner;
        let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
        for (let k = 0; k < inner; k++) {
          const x = a[p + k];
          s0 += x * b[q0 + k]; s1 += x * b[q1 + k]; s2 += x * b[q2 + k]; s3 += x * b[q3 + k];
        }
        const o = o0 + r * columns + c;
        out[o] += s0; out[o + 1] += s1; out[o + 2] += s2; out[o + 3] += s3;
      }
      for (; c < columns; c++) {
        const q = b0 + c * inner;
        let s = 0;
        for (let k = 0; k < inner; k++) s += a[p + k] * b[q + k];
        out[o0 + r * columns + c] += s;
      }
    }
  };
  const transposed = (a, a0, rows, columns, into) => {
    for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) into[c * rows + r] = a[a0 + r * columns + c];
    return into;
  };

  // Where each number of a window lies: for every place (y, x) and every element of the kernel, or -1 outside.
  const windows = (large, small, kernel, stride, padding, dilation) => {
    const at = new Int32Array(small[0] * small[1] * kernel[0] * kernel[1]);
    let i = 0;
    for (let y = 0; y < small[0]; y++)
      for (let x = 0; x < small[1]; x++)
        for (let ky = 0; ky < kernel[0]; ky++)
          for (let kx = 0; kx < kernel[1]; kx++) {
            const v = y * stride[0] - padding[0] + ky * dilation[0], u = x * stride[1] - padding[1] + kx * dilation[1];
            at[i++] = v >= 0 && v < large[0] && u >= 0 && u < large[1] ? v * large[1] + u : -1;
          }
    return at;
  };

  const kinds = {
    unary(step) {
      const f = unary[step.f], [p, q, r] = step.numbers || [];
      const plain = !step.numbers;
      return (out, x) => {
        if (plain) for (let i = 0; i < out.length; i++) out[i] = f(x[i]);
        else for (let i = 0; i < out.length; i++) out[i] = f(x[i], p, q, r);
      };
    },
    binary(step) {
      const f = binary[step.f], [s, t] = step.strides.map((each) => each[each.length - 1]);
      return (out, a, b) =>
        along(step.shape, step.strides, [0, 0], (place, at, n) => {
          let i = at[0], j = at[1];
          for (let k = 0; k < n; k++, i += s, j += t) out[place + k] = f(a[i], b[j]);
        });
    },
    where(step) {
      const [s, t, u] = step.strides.map((each) => each[each.length - 1]);
      return (out, a, b, c) =>
        along(step.shape, step.strides, [0, 0, 0], (place, at, n) => {
          for (let k = 0; k < n; k++) out[place + k] = a[at[0] + k * s] ? b[at[1] + k * t] : c[at[2] + k * u];
        });
    },
    strided(step) {
      if (!step.shape.length) return (out, x) => (out[0] = x[step.offset]);
      const s = step.strides[step.strides.length - 1];
      return (out, x) =>
        along(step.shape, [step.strides], [step.offset], (place, at, n) => {
          for (let k = 0, i = at[0]; k < n; k++, i += s) out[place + k] = x[i];
        });
    },
    matmul({ batch, rows, inner, columns, columnwise }) {
      const other = columnwise ? null : new Float32Array(inner * columns);
      return (out, a, b) => {
        out.fill(0);
        for (let n = 0; n < batch; n++) {
          const from = n * inner * columns;
          if (other) transposed(b, from, inner, columns, other);
          multiply(a, n * rows * inner, other || b, other ? 0 : from, out, n * rows * columns, rows, inner, columns);
        }
      };
    },
    convolution(step, constant) {
      const { inputs, outputs, groups, kernel, batch } = step;
      const back = step.transposed, small = back ? step.from : step.to, large = back ? step.to : step.from;
      const at = windows(large, small, kernel, step.stride, step.padding, step.dilation);
      const area = kernel[0] * kernel[1], places = small[0] * small[1], whole = large[0] * large[1];
      const from = inputs / groups, to = outputs / groups;
      const wide = (back ? to : from) * area; // of the unfolded windows of one group
      const unfolded = new Float32Array(places * wide);
      const columns = back ? new Float32Array(places * from) : null;
      const kept = back ? new Float32Array(groups * wide * from) : null;
      let ready = false;
      const turn = (w) => {
        // (from, to, area) of each group -> (to, area, from)
        for (let g = 0; g < groups; g++)
          transposed(w, g * from * wide, from, wide, kept.subarray(g * wide * from, (g + 1) * wide * from));
        ready = constant;
      };
      return (out, x, w, bias) => {
        if (back && !ready) turn(w);
        for (let c = 0, i = 0, size = back ? whole : places; c < batch * outputs; c++, i += size)
          out.fill(bias ? bias[c % outputs] : 0, i, i + size);
        for (let n = 0; n < batch; n++)
          for (let g = 0; g < groups; g++) {
            if (!back) {
              const base = (n * inputs + g * from) * whole;
              for (let c = 0; c < from; c++) {
                const plane = base + c * whole;
                for (let p = 0, i = 0; p < places; p++) {
                  const row = p * wide + c * area;
                  for (let k = 0; k < area; k++, i++) unfolded[row + k] = at[i] < 0 ? 0 : x[plane + at[i]];
                }
              }
              multiply(w, g * to * wide, unfolded, 0, out, (n * outputs + g * to) * places, to, wide, places);
            } else {
              transposed(x, (n * inputs + g * from) * places, from, places, columns);
              unfolded.fill(0);
              multiply(columns, 0, kept, g * wide * from, unfolded, 0, places, from, wide);
              const base = (n * outputs + g * to) * whole;
              for (let c = 0; c < to; c++) {
                const plane = base + c * whole;
                for (let p = 0, i = 0; p < places; p++) {
                  const row = p * wide + c * area;
                  for (let k = 0; k < area; k++, i++) if (at[i] >= 0) out[plane + at[i]] += unfolded[row + k];
                }
              }
            }
          }
      };
    },
    normalise({ length, eps }) {
      return (out, x) => {
        for (let i = 0; i < out.length; i += length) {
          let mean = 0, square = 0;
          for (let k = i; k < i + length; k++) mean += x[k];
          mean /= length;
          for (let k = i; k < i + length; k++) square += (x[k] - mean) * (x[k] - mean);
          const factor = 1 / Math.sqrt(square / length + eps);
          for (let k = i; k < i + length; k++) out[k] = (x[k] - mean) * factor;
        }
      };
    },
    softmax({ length, log }) {
      return (out, x) => {
        for (let i = 0; i < out.length; i += length) {
          let top = -Infinity, sum = 0;
          for (let k = i; k < i + length; k++) top = Math.max(top, x[k]);
          for (let k = i; k < i + length; k++) sum += Math.exp(x[k] - top);
          const all = Math.log(sum);
          for (let k = i; k < i + length; k++) out[k] = log ? x[k] - top - all : Math.exp(x[k] - top) / sum;
        }
      };
    },
    reduce({ f, length }) {
      return (out, x) => {
        for (let r = 0; r < out.length; r++) {
          let found = f === "max" ? -Infinity : f === "min" ? Infinity : 0;
          for (let k = r * length; k < (r + 1) * length; k++)
            found = f === "max" ? Math.max(found, x[k]) : f === "min" ? Math.min(found, x[k]) : found + x[k];
          out[r] = f === "mean" ? found / length : found;
        }
      };
    },
    cat({ lengths }) {
      const width = lengths.reduce((a, b) => a + b, 0);
      return (out, ...parts) => {
        for (let row = 0; row * width < out.length; row++) {
          let to = row * width;
          for (let i = 0; i < parts.length; i++) {
            out.set(parts[i].subarray(row * lengths[i], (row + 1) * lengths[i]), to);
            to += lengths[i];
          }
        }
      };
    },
    resize(step) {
      const { f, from, to } = step;
      // For each place of a side: the two places it lies between, and how far it is on its way.
      const places = (a, b) =>
        Array.from({ length: b }, (_, i) => {
          if (f === "nearest") return [Math.floor((i * a) / b), 0, 0];
          const x = f === "aligned" ? (b > 1 ? (i * (a - 1)) / (b - 1) : 0) : Math.max(((i + 0.5) * a) / b - 0.5, 0);
          const low = Math.min(Math.floor(x), a - 1);
          return [low, Math.min(low + 1, a - 1) - low, x - low];
        });
      const down = places(from[0], to[0]), across = places(from[1], to[1]);
      return (out, x) => {
        let i = 0;
        for (let plane = 0; i < out.length; plane += from[0] * from[1])
          for (const [y, dy, v] of down)
            for (const [u, dx, w] of across) {
              const p = plane + y * from[1] + u, q = p + dy * from[1];
              out[i++] = v || w ? (1 - v) * ((1 - w) * x[p] + w * x[p + dx]) + v * ((1 - w) * x[q] + w * x[q + dx]) : x[p];
            }
      };
    },
    pool(step) {
      const { f, from, to, kernel } = step;
      const at = windows(from, to, kernel, step.stride, step.padding, [1, 1]);
      const area = kernel[0] * kernel[1], places = to[0] * to[1];
      return (out, x) => {
        for (let i = 0; i < out.length; i++) {
          const plane = Math.floor(i / places) * from[0] * from[1], row = (i % places) * area;
          let found = f === "max" ? -Infinity : 0;
          for (let k = row; k < row + area; k++) {
            const value = at[k] < 0 ? (f === "max" ? -Infinity : 0) : x[plane + at[k]];
            found = f === "max" ? Math.max(found, value) : found + value;
          }
          out[i] = f === "max" ? found : found / area;
        }
      };
    },
  };

  const registers = { ...program.weights };
  const value = (name) => (typeof name === "number" ? Float64Array.of(name) : registers[name]);
  const run = [];
  let last = null;
  for (const step of program.steps) {
    if (step.kind === "output") {
      last = step.in[0];
      continue;
    }
    const out = (registers[step.out] = new Float32Array(step.size));
    const constant = step.in[1] in program.weights;
    const f = kinds[step.kind](step, constant);
    const inputs = step.in.map((name) => (name === "z" ? null : value(name)));
    run.push((z) => f(out, ...inputs.map((input) => input || z)));
  }
  const size = program.shape.reduce((a, b) => a * b, 1);
  const decode = (z) => {
    for (const step of run) step(z);
    return last === "z" ? Float32Array.from(z) : registers[last].slice();
  };
  // The largest difference from what Python decoded the same codes to.
  const check = () => {
    const codes = program.weights["check/codes"], shown = program.weights["check/shown"];
    if (!codes || !shown) return { error: 0, codes: 0 };
    const count = shown.length / size, dim = codes.length / count;
    let error = 0;
    for (let n = 0; n < count; n++) {
      const found = decode(codes.slice(n * dim, (n + 1) * dim));
      for (let i = 0; i < size; i++) {
        const off = Math.abs(found[i] - shown[n * size + i]);
        error = off > error || off !== off ? off : error;
      }
    }
    return { error, codes: count };
  };
  return { size, decode, check };
}
