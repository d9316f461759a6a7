/* The map without WebGL: points as squares on a 2-D canvas, in two or three dimensions; and what all surfaces share. */
const CANVAS_LIMIT = 20000;

/* A surface draws points and tells where they are. Each has, beside what stands here:
   draw({ places, dims, index, colours, opacity, visible }, animate)   everything that is drawn, from now on
   paint()                                                             the same for the view as it is now */
class Surface {
  constructor(element, { onview }, { turn = 0, tilt = 0 } = {}) {
    Object.assign(this, { element, onview, words: "", thinned: "", scene: null, first: { x: 0, y: 0, scale: 1, turn, tilt } });
    this.view = { ...this.first };
    this.canvas = h("canvas", { class: "points" });
    element.prepend(this.canvas);
  }

  /* Follow the hand and the size of the element, from when it is certain that this surface can draw. */
  listen({ onhover, onclick }) {
    this.stop = gestures(this, this.element, { onhover, onclick });
    this.watch = new ResizeObserver(() => this.resized());
    this.watch.observe(this.element);
  }

  resized() { this.paint(); }

  /* Pixels of the element; places of one point [x, y] and of all (2 N) in them. */
  size() { return [this.element.clientWidth || 1, this.element.clientHeight || 1]; }
  all(places = this.scene.places) { return projected(places, this.scene.dims, this.view, this.size()); }
  project(row) { const { places, dims } = this.scene; return Array.from(this.all(places.subarray(row * dims, (row + 1) * dims))); }

  fit() { Object.assign(this.view, this.first); this.paint(); }
  zoom(factor, at) { zoomed(this.view, factor, at || this.size().map((side) => side / 2), this.size()); this.paint(); }
  pan(dx, dy) { this.view.x += dx; this.view.y += dy; this.paint(); }
  turn(dx, dy) { turned(this.view, dx, dy); this.paint(); }

  /* Call paint(share) in every picture, with the share of the way that points have moved, for as long as a scene is shown. */
  glide(scene, paint) {
    const start = performance.now();
    const step = (now) => {
      if (this.scene !== scene) return;
      const t = Math.min((now - start) / 700, 1);
      paint(t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2);
      if (t < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  destroy() { this.stop(); this.watch.disconnect(); this.scene = null; this.canvas.remove(); }
}

class CanvasSurface extends Surface {
  constructor(element, calls) {
    super(element, calls, { turn: 0.6, tilt: 0.35 });
    this.words = "This browser offers no WebGL: the map is drawn more slowly on a plain canvas.";
    this.listen(calls);
  }

  draw(scene, animate) {
    const before = this.scene;
    this.scene = scene;
    if (!animate || before?.dims !== scene.dims || before.places.length !== scene.places.length) { this.paint(); return; }
    const from = before.places, to = scene.places, between = new Float32Array(to.length);
    this.glide(scene, (share) => {
      for (let i = 0; i < to.length; i++) between[i] = from[i] + (to[i] - from[i]) * share;
      this.paint(share < 1 ? between : to);
    });
  }

  paint(places) {
    if (!this.scene) return;
    const [width, height] = this.size(), ratio = devicePixelRatio || 1, { index, colours, opacity, visible } = this.scene;
    this.canvas.width = width * ratio; this.canvas.height = height * ratio;
    const context = this.canvas.getContext("2d"), at = this.all(places), size = pointSize(index.length, this.view.scale);
    context.scale(ratio, ratio);
    const step = Math.max(1, Math.ceil(index.length / CANVAS_LIMIT)), strong = [];
    const put = (i) => {
      const x = at[2 * i], y = at[2 * i + 1];
      if (x < -9 || y < -9 || x > width + 9 || y > height + 9) return;
      context.fillStyle = colours[index[i]];
      context.fillRect(x - size / 2, y - size / 2, size, size);
    };
    context.globalAlpha = 0.15;
    for (let i = 0; i < index.length; i += step) {
      if (visible && !visible[i]) continue;
      if (opacity && !opacity[i]) put(i); else strong.push(i);
    }
    context.globalAlpha = 0.85;
    for (const i of strong) put(i);
    this.thinned = step > 1 ? `Every ${step}th item is drawn.` : "";
    this.onview();
  }
}

const pointSize = (count, scale = 1) => Math.min(12, Math.max(2, (count > 200000 ? 1.5 : count > 20000 ? 2.5 : count > 4000 ? 4 : count > 500 ? 6 : 8) * Math.sqrt(Math.min(scale, 4))));

function turned(view, dx, dy) {
  view.turn += dx * 0.008;
  view.tilt = Math.min(Math.max(view.tilt + dy * 0.008, -1.57), 1.57);
}

function zoomed(view, factor, [x, y], [width, height]) {
  const to = Math.min(Math.max(view.scale * factor, 0.4), 400), real = to / view.scale;
  view.x = (view.x - (x - width / 2)) * real + (x - width / 2);
  view.y = (view.y - (y - height / 2)) * real + (y - height / 2);
  view.scale = to;
}

/* The rotation of a view as the rows of a matrix. */
function rotation({ turn, tilt }) {
  const [c, s, d, t] = [Math.cos(turn), Math.sin(turn), Math.cos(tilt), Math.sin(tilt)];
  return [c, 0, s, t * s, d, -t * c, -d * s, t, d * c];
}

/* Pixels of all points; in three dimensions nearer points are a little farther apart. */
function projected(places, dims, view, [width, height]) {
  const count = places.length / dims, at = new Float32Array(2 * count), unit = Math.min(width, height) / 2 * 0.94 * view.scale;
  const r = rotation(view);
  for (let i = 0; i < count; i++) {
    let x = places[i * dims], y = places[i * dims + 1];
    if (dims === 3) {
      const z = places[i * 3 + 2], depth = r[6] * x + r[7] * y + r[8] * z, near = 3 / (3 - depth);
      [x, y] = [(r[0] * x + r[1] * y + r[2] * z) * near * 0.75, (r[3] * x + r[4] * y + r[5] * z) * near * 0.75];
    }
    at[2 * i] = width / 2 + view.x + x * unit;
    at[2 * i + 1] = height / 2 + view.y - y * unit;
  }
  return at;
}

/* Pan or turn by dragging, zoom by wheel or two fingers, hover and click; returns how to stop. */
function gestures(surface, element, { onhover, onclick }) {
  const down = new Map();
  let moved = 0, apart = 0;
  const hover = onceAPicture(onhover);
  const at = (event) => { const box = element.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const listeners = {
    pointerdown(event) { down.set(event.pointerId, at(event)); moved = 0; apart = 0; },
    pointermove(event) {
      const here = at(event), before = down.get(event.pointerId);
      if (!before) { hover(here); return; }
      down.set(event.pointerId, here);
      const [dx, dy] = [here[0] - before[0], here[1] - before[1]];
      moved += Math.abs(dx) + Math.abs(dy);
      if (down.size === 2) {
        const [p, q] = [...down.values()], now = Math.hypot(p[0] - q[0], p[1] - q[1]);
        if (apart) surface.zoom(now / apart, [(p[0] + q[0]) / 2, (p[1] + q[1]) / 2]);
        apart = now;
      } else if (moved > 3) {
        if (surface.scene.dims === 3 && !event.shiftKey && event.buttons !== 2) surface.turn(dx, dy); else surface.pan(dx, dy);
      }
    },
    pointerup(event) { if (down.delete(event.pointerId) && moved <= 3) onclick(at(event), event); },
    pointercancel(event) { down.delete(event.pointerId); },
    pointerleave(event) { down.delete(event.pointerId); onhover(null); },
    wheel(event) { event.preventDefault(); surface.zoom(Math.exp(-event.deltaY * 0.0016), at(event)); },
  };
  for (const [name, call] of Object.entries(listeners)) element.addEventListener(name, call, { passive: false });
  return () => { for (const [name, call] of Object.entries(listeners)) element.removeEventListener(name, call); };
}
