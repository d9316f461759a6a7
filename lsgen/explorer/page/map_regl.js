/* The map in two dimensions, drawn by regl-scatterplot. The page moves its camera itself, so that dragging, fingers and
   keys do the same on every surface. Where drawing is slow, as without a graphics card, what was drawn last is moved with
   the hand, and drawn again when the hand rests. */
const QUICK = 45, REST = 90;

class ReglSurface extends Surface {
  constructor(element, calls) {
    super(element, calls);
    Object.assign(this, { busy: Promise.resolve(), cost: 0, timer: 0 });
    const [width, height] = this.size();
    this.renderer = lsgenVendor.createRenderer();
    this.renderer.resize(width, height);
    this.sized = String([width, height]);
    this.drawn = { ...this.view };
    this.overlaid = { ...this.view };
    this.over = element.querySelector(".over");
    this.plot = lsgenVendor.scatterplot({
      renderer: this.renderer, canvas: this.canvas, width, height, cameraIsFixed: true, deselectOnDblClick: false, deselectOnEscape: false,
      backgroundColor: token("--stage"), pointColor: ["#888888"], colorBy: "valueA", opacityBy: "valueB", opacity: [0.1, 0.85],
      pointSize: 4, pointScaleMode: "constant", pointOutlineWidth: 0,
    });
    this.listen(calls);
  }

  resized() {
    const [width, height] = this.size();
    if (String([width, height]) === this.sized) return;
    this.sized = String([width, height]);
    this.renderer.resize(width, height);
    this.plot.set({ width, height });
    this.redraw();
  }

  draw(scene, animate) {
    const before = this.scene, { places, index, colours, opacity } = scene, count = index.length;
    this.scene = scene;
    const x = new Float32Array(count), y = new Float32Array(count), weight = new Uint8Array(count).fill(1);
    for (let i = 0; i < count; i++) { x[i] = places[2 * i]; y[i] = places[2 * i + 1]; }
    if (opacity) weight.set(opacity);
    const filter = scene.visible ? rowsIn(scene.visible) : null;
    const moves = animate && before && before.places !== places && count <= 200000;
    this.busy = this.busy.then(async () => {
      if (this.scene !== scene || !this.plot) return;
      this.plot.set({ pointColor: colours, backgroundColor: token("--stage") });
      if (count > 200000) await this.index();
      const goal = this.aim();
      await this.plot.draw({ x, y, z: index, w: weight }, {
        zDataType: "categorical", wDataType: "categorical", transition: moves, transitionDuration: 700, spatialIndex: this.found,
      });
      if (this.plot) this.found ??= this.plot.get("spatialIndex");
      if (filter && this.plot) await this.plot.filter(filter, { preventEvent: true });
      this.drawn = goal;
      if (["x", "y", "scale"].some((part) => goal[part] !== this.view[part])) this.redraw(); else this.follow();
    });
    return this.busy;
  }

  /* The page finds points by itself, so that any index will do: that of one point spares the work for many. */
  async index() {
    if (this.found) return;
    await this.plot.draw({ x: [9], y: [9], z: [0], w: [1] }, { zDataType: "categorical", wDataType: "categorical" });
    this.found = this.plot.get("spatialIndex");
  }

  /* Show the view as it is now: at once by moving what was drawn, and drawn anew as soon as there is time. */
  paint() {
    if (!this.plot) return;
    clearTimeout(this.timer);
    if (this.cost < QUICK) { this.redraw(); return; }
    this.follow();
    this.timer = setTimeout(() => this.redraw(), Math.max(REST, 2 * this.cost));
  }

  /* Move the points, and what lies over them, from the views they were drawn for to this one. */
  follow() {
    moveTo(this.canvas, this.drawn, this.view);
    moveTo(this.over, this.overlaid, this.view);
  }

  /* What lies over the points was drawn for this view. */
  covered() { this.overlaid = { ...this.view }; moveTo(this.over, this.overlaid, this.view); }

  /* Point the camera at the view; returns that view. */
  aim() {
    const [width, height] = this.size(), { x, y } = this.view, unit = Math.min(width, height) * 0.94 * this.view.scale / height;
    const size = pointSize(this.scene ? this.scene.index.length : 1, this.view.scale);
    if (this.drawnSize !== size) { this.drawnSize = size; this.plot.set({ pointSize: size }); }
    this.plot.view([unit, 0, 0, 0, 0, unit, 0, 0, 0, 0, 1, 0, 2 * x / height, -2 * y / height, 0, 1], { preventEvent: true });
    return { ...this.view };
  }

  redraw() {
    if (!this.plot) return;
    const goal = this.aim(), start = performance.now();
    this.plot.subscribe("draw", () => {
      this.drawn = goal;
      this.follow();
      requestAnimationFrame(() => requestAnimationFrame(() => { this.cost = 0.7 * this.cost + 0.3 * (performance.now() - start); }));
    }, 1);
    this.onview();
  }

  turn(dx, dy) { this.pan(dx, dy); }

  destroy() {
    super.destroy();
    clearTimeout(this.timer);
    this.plot.destroy();
    const context = this.renderer.canvas.getContext("webgl");
    this.renderer.destroy();
    context?.getExtension("WEBGL_lose_context")?.loseContext();
    this.plot = null;
    this.over.style.transform = "";
  }
}

/* Show a canvas that was drawn for one view as another view would show it. */
function moveTo(canvas, from, to) {
  const real = to.scale / from.scale, still = real === 1 && from.x === to.x && from.y === to.y;
  canvas.style.transform = still ? "" : `translate(${to.x - from.x * real}px, ${to.y - from.y * real}px) scale(${real})`;
}
