// Single axes of the codes: spread, and how they go along with the columns.

function axisNumerics() {
  "use strict";

  // Mean, standard deviation (n - 1), least and greatest value of axis j.
  function moments(z, n, d, j) {
    let sum = 0, low = Infinity, high = -Infinity;
    for (let i = 0; i < n; i++) {
      const value = z[i * d + j];
      sum += value;
      if (value < low) low = value;
      if (value > high) high = value;
    }
    const mean = sum / n;
    let square = 0;
    for (let i = 0; i < n; i++) square += (z[i * d + j] - mean) ** 2;
    return { mean, sd: n > 1 ? Math.sqrt(square / (n - 1)) : 0, low, high };
  }

  // Pearson's correlation of the pairs that are both finite; null for fewer than 3 or without spread.
  function correlation(a, b) {
    let n = 0, sa = 0, sb = 0;
    for (let i = 0; i < a.length; i++) if (Number.isFinite(a[i]) && Number.isFinite(b[i])) { n++; sa += a[i]; sb += b[i]; }
    if (n < 3) return null;
    const ma = sa / n, mb = sb / n;
    let aa = 0, bb = 0, ab = 0;
    for (let i = 0; i < a.length; i++) {
      if (!Number.isFinite(a[i]) || !Number.isFinite(b[i])) continue;
      aa += (a[i] - ma) ** 2; bb += (b[i] - mb) ** 2; ab += (a[i] - ma) * (b[i] - mb);
    }
    return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : null;
  }

  // Correlation ratio eta: root of the share of the variance of `a` that lies between classes; null without spread.
  function ratio(a, classes) {
    const groups = new Map();
    let n = 0, sum = 0;
    for (let i = 0; i < a.length; i++) {
      if (classes[i] === null || classes[i] === undefined) continue;
      const group = groups.get(classes[i]) ?? { n: 0, sum: 0 };
      group.n++; group.sum += a[i]; groups.set(classes[i], group);
      n++; sum += a[i];
    }
    if (groups.size < 2) return null;
    const mean = sum / n;
    let all = 0, between = 0;
    for (let i = 0; i < a.length; i++) if (classes[i] !== null && classes[i] !== undefined) all += (a[i] - mean) ** 2;
    for (const group of groups.values()) between += group.n * (group.sum / group.n - mean) ** 2;
    return all > 0 ? Math.sqrt(between / all) : null;
  }

  return { moments, correlation, ratio };
}
