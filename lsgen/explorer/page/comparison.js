// Two spaces of the same items: how many of its k nearest neighbours an item keeps, and which items moved most.
//
//   Jaccard of an item   |N_a and N_b| / |N_a or N_b|,  N the k nearest other items in a space

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

  // Places of the values, smallest first, ties by the lower place.
  function ascending(values) {
    return Array.from(values, (_, i) => i).sort((i, j) => values[i] - values[j] || i - j);
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

  return { jaccard, ascending, chance };
}
