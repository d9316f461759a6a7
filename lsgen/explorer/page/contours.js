/* Contours of the density of a map: a Gaussian kernel with Scott's bandwidth, sd N^(−1/6) along each axis, on a grid. Each
   contour encloses a share of the items, those where the density is greatest. */
const SHARES = [0.25, 0.5, 0.75, 0.95], CELLS = 128;

function densityNumerics() {
  "use strict";

  /* The density at the nodes of a grid over places (N x 2): { values, low, step, side, bandwidth, at }. */
  function density(places, side) {
    const n = places.length / 2, range = [0, 1].map((axis) => axisNumerics().moments(places, n, 2, axis));
    const bandwidth = range.map((one) => one.sd * n ** (-1 / 6));
    if (n < 3 || !bandwidth.every((width) => width > 0)) return null;
    const low = range.map((one, axis) => one.low - 3 * bandwidth[axis]), step = range.map((one, axis) => (one.high + 3 * bandwidth[axis] - low[axis]) / (side - 1));
    const onGrid = (i) => [0, 1].map((axis) => (places[2 * i + axis] - low[axis]) / step[axis]);
    let values = new Float64Array(side * side);
    for (let i = 0; i < n; i++) {
      const [x, y] = onGrid(i), [a, b] = [Math.floor(x), Math.floor(y)];
      const [u, v] = [x - a, y - b], at = b * side + a;
      values[at] += (1 - u) * (1 - v); values[at + 1] += u * (1 - v); values[at + side] += (1 - u) * v; values[at + side + 1] += u * v;
    }
    for (const axis of [0, 1]) values = smoothed(values, side, axis ? side : 1, bandwidth[axis] / step[axis]);
    const scale = 1 / (n * step[0] * step[1]);
    return { values: values.map((value) => value * scale), low, step, side, bandwidth,
      at: Float64Array.from({ length: n }, (_, i) => between(values, side, ...onGrid(i)) * scale) };
  }

  /* Convolved with a normal of some steps along one axis. */
  function smoothed(values, side, stride, width) {
    const reach = Math.ceil(5 * width), weights = Float64Array.from({ length: 2 * reach + 1 }, (_, i) => Math.exp(-0.5 * ((i - reach) / width) ** 2));
    const total = weights.reduce((a, b) => a + b, 0), out = new Float64Array(values.length);
    for (let i = 0; i < values.length; i++) {
      const value = values[i], place = Math.floor(i / stride) % side;
      if (!value) continue;
      for (let j = Math.max(-reach, -place); j <= Math.min(reach, side - 1 - place); j++) out[i + j * stride] += value * weights[j + reach] / total;
    }
    return out;
  }

  function between(values, side, x, y) {
    const [a, b] = [Math.floor(x), Math.floor(y)], [u, v] = [x - a, y - b], at = b * side + a;
    return (values[at] * (1 - u) + values[at + 1] * u) * (1 - v) + (values[at + side] * (1 - u) + values[at + side + 1] * u) * v;
  }

  /* The densities above which shares of the items lie. */
  function levels(at, shares) {
    const sorted = Float64Array.from(at).sort().reverse();
    return shares.map((share) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)]);
  }

  /* The lines where the density has a value, as pieces x0, y0, x1, y1 one after the other in the units of the places. */
  function pieces({ values, low, step, side }, level) {
    const found = [];
    for (let b = 0; b < side - 1; b++) for (let a = 0; a < side - 1; a++) {
      const corners = [[a, b], [a + 1, b], [a + 1, b + 1], [a, b + 1]], high = corners.map(([x, y]) => values[y * side + x]);
      const crossed = [];
      for (let i = 0; i < 4; i++) {
        const j = (i + 1) % 4;
        if (high[i] > level === high[j] > level) continue;
        const t = (level - high[i]) / (high[j] - high[i]);
        crossed.push([0, 1].map((axis) => low[axis] + step[axis] * (corners[i][axis] + t * (corners[j][axis] - corners[i][axis]))));
      }
      if (crossed.length === 4 && (high[0] + high[1] + high[2] + high[3]) / 4 > level === high[0] > level) crossed.push(crossed.shift());
      for (let i = 0; i + 1 < crossed.length; i += 2) found.push(...crossed[i], ...crossed[i + 1]);
    }
    return found;
  }

  return { density, levels, pieces };
}

/* The contours of the map that is shown, of the items that are: { lines: [{ share, width, pieces }], words }; null where there are none. */
function contoursOf(view) {
  const { current: map, store, data } = view, visible = store.get("visible");
  if (!store.get("contours") || map.dims !== 2) return null;
  if (view.contours?.map === map && view.contours.visible === visible) return view.contours.made;
  const places = visible ? rowsIn(visible).flatMap((row) => [map.places[2 * row], map.places[2 * row + 1]]) : map.places, numerics = densityNumerics();
  const found = numerics.density(places, CELLS), half = map.half ?? 1;
  const made = found && { lines: numerics.levels(found.at, SHARES).map((level, i) => ({ share: SHARES[i], width: SHARES[i] <= 0.5 ? 1.6 : 1, pieces: numerics.pieces(found, level) })), found,
    words: `Contours enclose ${SHARES.map((share) => `${100 * share}`).join(", ").replace(/, (\d+)$/, " and $1")}% of the ${number(places.length / 2)} items shown: density by a Gaussian kernel of ${found.bandwidth.map((width) => number(width * half, 2)).join(" × ")} in the units of the map (Scott's rule).` };
  view.contours = { map, visible, made };
  return made;
}

/* Each piece of a contour in pixels of the map: call(x0, y0, x1, y1). */
function eachPiece(view, { pieces }, call) {
  const at = projected(pieces, 2, view.surface.view, view.surface.size());
  for (let i = 0; i < at.length; i += 4) call(at[i], at[i + 1], at[i + 2], at[i + 3]);
}

overlay((context, place, store, data, view) => {
  const made = contoursOf(view);
  if (!made) return;
  context.strokeStyle = token("--ink");
  for (const one of made.lines) {
    context.beginPath();
    eachPiece(view, one, (a, b, c, d) => { context.moveTo(a, b); context.lineTo(c, d); });
    context.lineWidth = one.width;
    context.globalAlpha = 0.75;
    context.stroke();
  }
  context.globalAlpha = 1;
});
