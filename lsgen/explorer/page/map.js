/* The map: which projection is drawn by which surface, in which colours, with what over it. */
class CodeMapView {
  constructor(element, store, data) {
    Object.assign(this, { element, store, data, surface: null, current: null, soon: onceAPicture(() => this.over_()), webgl: new URLSearchParams(location.search).get("webgl") !== "off" });
    this.frame = h("div", { class: "surface", tabindex: "0", role: "application", "aria-roledescription": "map",
      "aria-label": "Map of the codes. Arrow keys move or turn it, plus and minus zoom, 0 fits it, N and P step through the items." });
    this.over = h("canvas", { class: "over", "aria-hidden": "true" });
    this.tip = h("div", { class: "tip", hidden: true });
    this.note = h("p", { class: "mapnote", hidden: true });
    this.frame.append(this.over, this.tip);
    element.append(this.frame, this.note);
    selecting(this);
    mapKeys(this);
    store.on(["map", "axes"], () => this.refresh(true));
    store.on(["colour", "selection", "visible"], () => this.refresh(false));
    store.on(["pins", "groups"], () => (this.current?.axes ? this.refresh(true) : this.paintOver()));
    store.on(["hover", "focus", "thumbnails", "lines", "contours", "k", "worst", "selection"], () => this.paintOver());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.refresh(false));
  }

  /* The map that is chosen: one of the page's, or two axes. */
  choose() {
    const { map, axes } = this.store.get(), { data } = this;
    if (map === "axes" && data.codes) {
      const made = axesMap(axes || firstAxes(data), data, this.store);
      if (typeof made !== "string") return made;
      announce(made);
      return this.current || this.data.maps[0] || axesMap(firstAxes(data), data, this.store);
    }
    return data.maps.find((entry) => entry.name === map) || data.maps[0];
  }

  /* Draw again: with other places if moved, else with other colours only. */
  async refresh(moved) {
    if (moved || !this.current) this.current = this.choose();
    const { data, store, current } = this, { colour, selection, visible } = store.get();
    this.colours = colouring(colour || "none", data, current);
    const opacity = selection.length ? new Uint8Array(data.count) : null;
    if (opacity) for (const row of selection) opacity[row] = 1;
    this.ready(current.dims);
    const scene = { places: current.places, dims: current.dims, index: this.colours.index, colours: this.colours.colours, opacity, visible };
    const drawn = this.surface.draw(scene, moved && !matchMedia("(prefers-reduced-motion: reduce)").matches);
    store.set({ camera: store.get("camera") + 1 });
    this.say();
    if (current.axes && !current.trust.length) measureAxes(this);
    await drawn;
    this.paintOver();
  }

  /* Have the surface for as many dimensions; the plain canvas where there is no WebGL, or the address says ?webgl=off. */
  ready(dims) {
    const wanted = !this.webgl ? CanvasSurface : dims === 3 ? WebglSurface : ReglSurface;
    if (this.surface instanceof wanted) return;
    const make = (kind) => new kind(this.frame, { onview: () => this.paintOver(), onhover: (at) => this.hover(at), onclick: (at, event) => this.click(at, event) });
    this.surface?.destroy();
    try {
      this.surface = make(wanted);
    } catch (error) {
      this.frame.querySelector("canvas.points")?.remove();
      this.webgl = false;
      this.surface = make(CanvasSurface);
    }
  }

  say() {
    const text = [this.surface.words, this.surface.thinned, this.colours.note].filter(Boolean).join(" ");
    this.note.textContent = text;
    this.note.hidden = !text;
  }

  /* The item nearest to a place of the map, within some pixels; -1 if there is none. */
  nearest([x, y], reach = 12) {
    const at = this.surface.all(), visible = this.store.get("visible");
    let best = reach * reach, found = -1;
    for (let i = 0; i < this.data.count; i++) {
      const dx = at[2 * i] - x, dy = at[2 * i + 1] - y, far = dx * dx + dy * dy;
      if (far < best && (!visible || visible[i])) { best = far; found = i; }
    }
    return found;
  }

  hover(at) {
    if (!this.surface.scene) return;
    const row = at ? this.nearest(at) : -1;
    this.store.set({ hover: row });
    this.tip.hidden = row < 0;
    if (row < 0) return;
    const { column } = this.colours;
    this.tip.replaceChildren(face(this.data, row, 64), h("span", {}, words(this.data.id(row), 40, "b"),
      column ? h("span", {}, words(`${column.label}: ${column.text(row)}`, 60)) : null));
    const [x, y] = this.surface.project(row), [width, height] = this.surface.size();
    this.tip.style.transform = `translate(${Math.min(Math.max(x + 14, 4), Math.max(width - 230, 4))}px, ${Math.min(Math.max(y - 40, 4), Math.max(height - 90, 4))}px)`;
  }

  click(at, event) {
    const row = this.nearest(at, event.pointerType === "touch" ? 24 : 12);
    if (row < 0) { this.store.set({ focus: -1 }); return; }
    if (event.ctrlKey || event.metaKey) {
      const chosen = new Set(this.store.get("selection"));
      if (!chosen.delete(row)) chosen.add(row);
      this.store.set({ selection: [...chosen].sort((a, b) => a - b) });
    } else this.store.set({ focus: row });
  }

  paintOver() {
    if (this.surface?.scene) this.soon();
  }

  over_() {
    const { surface, store, data, current } = this, [width, height] = surface.size(), ratio = devicePixelRatio || 1;
    const context = this.over.getContext("2d"), place = (row) => surface.project(row);
    const wide = Math.round(width * ratio), tall = Math.round(height * ratio);
    if (this.over.width !== wide || this.over.height !== tall) { this.over.width = wide; this.over.height = tall; }
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    surface.covered?.();
    const { hover, focus, pins, thumbnails, lines, k, visible, selection } = store.get();
    drawFrame(context, surface, current);
    if (thumbnails && surface.view.scale > 1.5) (data.pictures ? drawThumbnails : drawNames)(context, surface, data, visible, this.colours, () => this.paintOver());
    if (selection.length <= 200) for (const row of selection) ring(context, place(row), 5, token("--ink"), 1);
    const looked = hover >= 0 ? hover : focus;
    if (lines && looked >= 0 && data.neighbours) drawLines(context, place, looked, data.neighbours(looked, k).index);
    for (const draw of OVERLAYS) draw(context, place, store, data, this);
    drawPins(context, place, pins);
    if (focus >= 0) ring(context, place(focus), 8, token("--ink"), 2.5);
    if (hover >= 0) ring(context, place(hover), 7, token("--ink"), 1.5);
  }
}

/* Select by drawing a box or a loop while a tool is chosen or Shift is held. */
function selecting(view) {
  const { frame, store } = view;
  let path = null;
  const at = (event) => { const box = frame.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const drawing = (event) => store.get("tool") !== "pan" || (event.shiftKey && event.button === 0);
  const shape = () => store.get("tool") === "box" ? [path[0], [path.at(-1)[0], path[0][1]], path.at(-1), [path[0][0], path.at(-1)[1]]] : path;
  frame.addEventListener("pointerdown", (event) => {
    if (!drawing(event)) return;
    event.stopImmediatePropagation();
    frame.setPointerCapture(event.pointerId);
    path = [at(event)];
  }, true);
  frame.addEventListener("pointermove", (event) => {
    if (!path) return;
    event.stopImmediatePropagation();
    path.push(at(event));
    view.over_();
    const context = view.over.getContext("2d");
    traced(context, shape());
    context.closePath();
    context.strokeStyle = token("--accent"); context.lineWidth = 1.5; context.stroke();
    context.globalAlpha = 0.12; context.fillStyle = token("--accent"); context.fill();
  }, true);
  frame.addEventListener("pointerup", (event) => {
    if (!path) return;
    event.stopImmediatePropagation();
    const corners = shape(), still = path.length < 3;
    path = null;
    if (still) { view.click(at(event), event); return; }
    const found = inside(corners, view.surface.all(), store.get("visible"));
    const before = event.ctrlKey || event.metaKey ? store.get("selection") : [];
    const chosen = [...new Set([...before, ...found])].sort((a, b) => a - b);
    store.set({ selection: chosen });
    announce(chosen.length ? `${number(chosen.length)} items are selected.` : "No item lies in there.");
    view.paintOver();
  }, true);
}

/* Rows of the points inside a polygon, by the even-odd rule. */
function inside(corners, at, visible) {
  const found = [], xs = corners.map((c) => c[0]), ys = corners.map((c) => c[1]);
  const [x0, x1, y0, y1] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  for (let i = 0; i < at.length / 2; i++) {
    const x = at[2 * i], y = at[2 * i + 1];
    if (x < x0 || x > x1 || y < y0 || y > y1 || (visible && !visible[i])) continue;
    let within = false;
    for (let a = 0, b = corners.length - 1; a < corners.length; b = a++)
      if (ys[a] > y !== ys[b] > y && x < (xs[b] - xs[a]) * (y - ys[a]) / (ys[b] - ys[a]) + xs[a]) within = !within;
    if (within) found.push(i);
  }
  return found;
}

function mapKeys(view) {
  const { frame, store } = view;
  frame.addEventListener("keydown", (event) => {
    const { surface, data } = view, step = 40;
    const move = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (move) { if (view.current.dims === 3 && !event.shiftKey) surface.turn(-move[0], -move[1]); else surface.pan(...move); }
    else if (event.key === "+" || event.key === "=") surface.zoom(1.3);
    else if (event.key === "-") surface.zoom(1 / 1.3);
    else if (event.key === "0") surface.fit();
    else if (event.key === "n" || event.key === "p") store.set({ focus: stepped(store, data, event.key === "n" ? 1 : -1) });
    else if ("abc".includes(event.key) && store.get("focus") >= 0) setPin(store, event.key.toUpperCase(), store.get("focus"));
    else if (event.key === "Escape") store.set({ selection: [], tool: "pan" });
    else return;
    event.preventDefault();
  });
}

/* The item after or before the one that is looked at, among those that are visible and selected. */
function stepped(store, data, step) {
  const { focus, visible, selection } = store.get(), only = selection.length ? new Set(selection) : null;
  for (let i = 1; i <= data.count; i++) {
    const row = ((focus < 0 && step > 0 ? -1 : focus) + step * i + 2 * data.count) % data.count;
    if ((!visible || visible[row]) && (!only || only.has(row))) return row;
  }
  return focus;
}
