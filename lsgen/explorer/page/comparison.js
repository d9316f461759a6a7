// Two spaces of the same items: how many of its k nearest neighbours an item keeps, and which items moved most.
//
//   Jaccard of an item   |N_a and N_b| / |N_a or N_b|,  N the k nearest other items in a space
//   linear CKA           |Y'X|^2 / (|X'X| |Y'Y|) of centred flat coordinates
//   debiased CKA         H(X, Y) / sqrt(H(X, X) H(Y, Y)),  with k_i = |x_i|^2, l_i = |y_i|^2:
//                        H = |Y'X|^2 - N/(N - 2) sum k_i l_i + sum k_i sum l_i / ((N - 1)(N - 2))

function comparisonNumerics() {
  "use strict";
  const search = neighbourSearch();

  // Returns Jaccard indices of rows of two spaces that hold the same items in the same order.
  function jaccard(one, other, rows, k = 10) {
    if (one.n !== other.n) throw new Error(`The spaces hold ${one.n} and ${other.n} items; they must be the same items.`);
    return Float64Array.from(rows, (i) => {
      const near = new Set(search.nearest(one, search.row(one, i), k, i).indices);
      let both = 0;
      for (const j of search.nearest(other, search.row(other, i), k, i).indices) if (near.has(j)) both++;
      return both / (2 * k - both);
    });
  }

  // The mean index of two sets of k items drawn by chance from n - 1: they share h with the hypergeometric probability.
  function chance(n, k) {
    const logs = [0];
    for (let i = 1; i < n; i++) logs.push(logs[i - 1] + Math.log(i));
    const ways = (m, h) => logs[m] - logs[h] - logs[m - h];
    let mean = 0;
    for (let h = Math.max(0, 2 * k - (n - 1)); h <= k; h++) {
      mean += Math.exp(ways(k, h) + ways(n - 1 - k, k - h) - ways(n - 1, k)) * h / (2 * k - h);
    }
    return mean;
  }

  function centred(z, n, d) {
    const mean = new Float64Array(d), out = new Float64Array(n * d);
    for (let i = 0; i < n * d; i++) mean[i % d] += z[i] / n;
    for (let i = 0; i < n * d; i++) out[i] = z[i] - mean[i % d];
    return { z: out, d };
  }

  // |Y'X|^2, the squared Frobenius norm.
  function crossed(x, y, n) {
    const sums = new Float64Array(x.d * y.d);
    for (let i = 0; i < n; i++) for (let j = 0; j < x.d; j++) {
      const value = x.z[i * x.d + j], from = i * y.d, to = j * y.d;
      for (let l = 0; l < y.d; l++) sums[to + l] += value * y.z[from + l];
    }
    return sums.reduce((sum, value) => sum + value * value, 0);
  }

  // Returns {linear, debiased} CKA of flat coordinates (n x d) and (n x e); null where a space has too little variance.
  function alignment(one, d, other, e, n) {
    const x = centred(one, n, d), y = centred(other, n, e);
    const norms = ({ z, d: width }) => Float64Array.from({ length: n }, (_, i) => {
      let square = 0;
      for (let j = 0; j < width; j++) square += z[i * width + j] ** 2;
      return square;
    });
    const k = norms(x), l = norms(y), pairs = [[x, x, k, k], [y, y, l, l], [x, y, k, l]];
    const plain = pairs.map(([a, b]) => crossed(a, b, n));
    const unbiased = pairs.map(([, , a, b], at) => {
      let product = 0, sums = [0, 0];
      for (let i = 0; i < n; i++) { product += a[i] * b[i]; sums = [sums[0] + a[i], sums[1] + b[i]]; }
      return plain[at] - n / (n - 2) * product + sums[0] * sums[1] / ((n - 1) * (n - 2));
    });
    const share = ([own, theirs, both]) => (own > 0 && theirs > 0 ? both / Math.sqrt(own * theirs) : null);
    return { linear: share(plain), debiased: n > 3 ? share(unbiased) : null };
  }

  return { jaccard, chance, alignment };
}
