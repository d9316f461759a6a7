/* What is drawn over the points: frames, pictures, lines to true neighbours, pins. */
const ROOM = 34, MOST_INSIDE = 900;

/* Begin a path through places. */
function traced(context, places) {
  context.beginPath();
  places.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
}

/* Pixels of a place in the units of a map. */
function pixelsOf(surface, map, x, y) {
  const size = surface.size(), places = Float32Array.of((x - map.centre[0]) / map.half, (y - map.centre[1]) / map.half);
  return projected(places, 2, surface.view, size);
}

function drawFrame(context, surface, map) {
  const [width, height] = surface.size(), at = (x, y) => pixelsOf(surface, map, x, y);
  context.strokeStyle = token("--faint"); context.fillStyle = token("--muted"); context.lineWidth = 1;
  context.font = "11px system-ui, sans-serif";
  if (map.outline === "disk") {
    const [x, y] = at(0, 0), radius = at(1, 0)[0] - x;
    context.beginPath(); context.arc(x, y, radius, 0, 2 * Math.PI); context.stroke();
    context.beginPath(); context.arc(x, y, 2, 0, 2 * Math.PI); context.fill();
  } else if (map.outline === "triangle") {
    const corners = [[0, 0], [1, 0], [0.5, Math.sqrt(3) / 2]].map(([x, y]) => at(x, y));
    traced(context, corners); context.closePath(); context.stroke();
    corners.forEach(([x, y], i) => context.fillText(String(i + 1), x + [-12, 6, -3][i], y + [12, 12, -8][i]));
  } else if (map.axes) {
    const low = [0, 1].map((side) => map.centre[side] - 3 * map.half), high = [0, 1].map((side) => map.centre[side] + 3 * map.half);
    const origin = at(0, 0);
    context.beginPath(); context.moveTo(0, origin[1]); context.lineTo(width, origin[1]);
    context.moveTo(origin[0], 0); context.lineTo(origin[0], height); context.stroke();
    for (const t of ticksOf(low[0], high[0], 24)) { const x = at(t, 0)[0]; if (x > 40 && x < width - 20) context.fillText(number(t), x - 6, height - 6); }
    for (const t of ticksOf(low[1], high[1], 24)) { const y = at(0, t)[1]; if (y > 20 && y < height - 20) context.fillText(number(t), 4, y + 4); }
    context.fillStyle = token("--ink"); context.font = "600 12px system-ui, sans-serif";
    const label = shortened(map.axes[0], 40);
    context.fillText(`${label} →`, width - context.measureText(`${label} →`).width - 8, height - 22);
    context.fillText(`↑ ${shortened(map.axes[1], 40)}`, 8, 16);
  }
}

/* The items in view among those of which something holds, or none where they are too many. */
function itemsInView(surface, at, holds) {
  const [width, height] = surface.size(), inside = [];
  for (let i = 0; 2 * i < at.length; i++) {
    const x = at[2 * i], y = at[2 * i + 1];
    if (x > 0 && y > 0 && x < width && y < height && holds(i)) { inside.push(i); if (inside.length > MOST_INSIDE) return []; }
  }
  return inside;
}

/* Names beside points where few enough items are in view; none covers another. */
function drawNames(context, surface, data, visible) {
  if (!data.named) return;
  const at = surface.all(), inside = itemsInView(surface, at, (i) => !visible || visible[i]), taken = [];
  context.font = "11px system-ui, sans-serif"; context.textAlign = "center"; context.fillStyle = token("--ink");
  for (const i of inside) {
    const x = at[2 * i], y = at[2 * i + 1] - 8, name = shortened(data.id(i), 24), half = 3.2 * name.length + 3;
    if (taken.some((other) => Math.abs(other.x - x) < half + other.half && Math.abs(other.y - y) < 13)) continue;
    taken.push({ x, y, half });
    context.fillText(name, x, y);
  }
  context.textAlign = "start";
}

/* Pictures instead of points where few enough items are in view; none covers another. Framed in the item's colour. */
function drawThumbnails(context, surface, data, visible, colours, repaint) {
  const at = surface.all(), inside = itemsInView(surface, at, (i) => (!visible || visible[i]) && data.pictures.has(i));
  const scale = ROOM / Math.max(data.pictures.width, data.pictures.height), taken = new Map();
  const w = data.pictures.width * scale, tall = data.pictures.height * scale, far = ROOM + 6;
  for (const i of inside) {
    const x = at[2 * i], y = at[2 * i + 1], [column, line] = [Math.floor(x / far), Math.floor(y / far)];
    let free = true;
    for (let c = column - 1; c <= column + 1 && free; c++) for (let l = line - 1; l <= line + 1 && free; l++) {
      const other = taken.get(c * 10007 + l);
      if (other && Math.abs(other[0] - x) < w + 5 && Math.abs(other[1] - y) < tall + 5) free = false;
    }
    if (!free) continue;
    taken.set(column * 10007 + line, [x, y]);
    if (!data.pictures.draw(context, i, x - w / 2, y - tall / 2, w, tall, repaint)) continue;
    context.strokeStyle = colours.colours[colours.index[i]]; context.lineWidth = 2;
    context.strokeRect(x - w / 2 - 1, y - tall / 2 - 1, w + 2, tall + 2);
  }
}

function drawLines(context, place, row, rows) {
  const from = place(row);
  context.lineWidth = 1.4; context.strokeStyle = token("--accent"); context.globalAlpha = 0.8;
  context.beginPath();
  for (const other of rows) { const to = place(other); context.moveTo(...from); context.lineTo(...to); }
  context.stroke();
  context.globalAlpha = 1;
  for (const other of rows) ring(context, place(other), 4, token("--accent"));
}

function ring(context, [x, y], radius, colour, width = 2) {
  context.beginPath(); context.arc(x, y, radius, 0, 2 * Math.PI);
  context.lineWidth = width; context.strokeStyle = colour; context.stroke();
}

function drawPins(context, place, pins) {
  context.font = "700 12px system-ui, sans-serif"; context.textAlign = "center"; context.textBaseline = "middle";
  for (const [name, row] of Object.entries(pins)) {
    if (row < 0) continue;
    const [x, y] = place(row);
    ring(context, [x, y], 6, PINS[name]);
    context.beginPath(); context.arc(x, y - 19, 9, 0, 2 * Math.PI); context.fillStyle = PINS[name]; context.fill();
    context.fillStyle = "#fff"; context.fillText(name, x, y - 18.5);
  }
  context.textAlign = "start"; context.textBaseline = "alphabetic";
}
