/* The map in three dimensions: points drawn by WebGL 2. */
const POINT_SHADER = `#version 300 es
in vec3 from; in vec3 to; in vec4 colour;
uniform mat3 turn; uniform vec2 unit; uniform vec2 shift; uniform float size; uniform float moved;
out vec4 shade;
void main() {
  vec3 p = turn * mix(from, to, moved);
  float near = 3.0 / (3.0 - p.z);
  gl_Position = vec4(p.xy * near * 0.75 * unit + shift, -p.z * 0.3, 1.0);
  gl_PointSize = size * near;
  shade = colour;
}`;
const PIXEL_SHADER = `#version 300 es
precision mediump float;
in vec4 shade; out vec4 pixel;
void main() {
  float r = length(gl_PointCoord - 0.5);
  if (r > 0.5) discard;
  pixel = vec4(shade.rgb * (r > 0.38 ? 0.82 : 1.0), shade.a);
}`;

class WebglSurface extends Surface {
  constructor(element, calls) {
    super(element, calls, { turn: 0.6, tilt: 0.35 });
    this.moved = 1;
    this.gl = this.canvas.getContext("webgl2", { antialias: false });
    if (!this.gl) throw new Error("this browser offers no WebGL 2");
    this.program = linked(this.gl);
    this.buffers = Object.fromEntries(["from", "to", "colour"].map((name) => [name, this.gl.createBuffer()]));
    this.soon = onceAPicture(() => this.now());
    this.listen(calls);
  }

  draw(scene, animate) {
    const before = this.scene, gl = this.gl, count = scene.index.length, same = before && before.places === scene.places;
    this.scene = scene;
    const table = scene.colours.map(rgb), colour = new Uint8Array(4 * count);
    const strong = [], weak = [];
    for (let i = 0; i < count; i++) {
      const shade = table[scene.index[i]];
      colour.set(shade, 4 * i);
      const on = !scene.opacity || scene.opacity[i];
      colour[4 * i + 3] = on ? 230 : 28;
      if (!scene.visible || scene.visible[i]) (on ? strong : weak).push(i);
    }
    this.order = Uint32Array.from(strong.concat(weak));
    this.strong = strong.length;
    const fill = (name, values) => { gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]); gl.bufferData(gl.ARRAY_BUFFER, values, gl.STATIC_DRAW); };
    fill("colour", colour);
    this.elements ??= gl.createBuffer();
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.elements);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, this.order, gl.STATIC_DRAW);
    if (!same) {
      const glide = animate && before && before.places.length === scene.places.length;
      fill("from", glide ? before.places : scene.places);
      fill("to", scene.places);
      if (glide) { this.glide(scene, (share) => { this.moved = share; this.paint(); }); return; }
    }
    this.moved = 1;
    this.paint();
  }

  paint() { if (this.scene) this.soon(); }

  now() {
    if (!this.scene) return;
    const { gl } = this;
    const [width, height] = this.size(), ratio = devicePixelRatio || 1, unit = Math.min(width, height) * 0.94 * this.view.scale;
    this.canvas.width = width * ratio; this.canvas.height = height * ratio;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.useProgram(this.program);
    gl.enable(gl.BLEND); gl.enable(gl.DEPTH_TEST);
    gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    const uniform = (name) => gl.getUniformLocation(this.program, name);
    gl.uniformMatrix3fv(uniform("turn"), true, rotation(this.view));
    gl.uniform2f(uniform("unit"), unit / width, unit / height);
    gl.uniform2f(uniform("shift"), 2 * this.view.x / width, -2 * this.view.y / height);
    gl.uniform1f(uniform("size"), pointSize(this.scene.index.length, this.view.scale) * ratio);
    gl.uniform1f(uniform("moved"), this.moved);
    for (const [name, parts, type] of [["from", 3, gl.FLOAT], ["to", 3, gl.FLOAT], ["colour", 4, gl.UNSIGNED_BYTE]]) {
      const place = gl.getAttribLocation(this.program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, parts, type, type === gl.UNSIGNED_BYTE, 0, 0);
    }
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.elements);
    gl.depthMask(true);
    gl.drawElements(gl.POINTS, this.strong, gl.UNSIGNED_INT, 0);
    gl.depthMask(false);
    gl.drawElements(gl.POINTS, this.order.length - this.strong, gl.UNSIGNED_INT, 4 * this.strong);
    gl.depthMask(true);
    this.onview();
  }

  destroy() {
    super.destroy();
    this.gl.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

function linked(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, POINT_SHADER], [gl.FRAGMENT_SHADER, PIXEL_SHADER]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`points cannot be drawn: ${gl.getProgramInfoLog(program)}`);
  return program;
}
