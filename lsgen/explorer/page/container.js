/* Reads the arrays of the page: base64, deflated, named in the header. Everything numeric is read before the page is
   ready; sheets of pictures are read when they are first looked at. */
const HEADER = JSON.parse(document.getElementById("header").textContent);

const TYPES = {
  int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array,
  float16: Uint16Array, float32: Float32Array, float64: Float64Array,
};

function bytesOf(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

let halves = null;
/* Float32Array of numbers that are kept in half precision. */
function fromHalf(bits) {
  if (halves === null) {
    halves = new Float32Array(65536);
    for (let h = 0; h < 65536; h++) {
      const sign = h & 0x8000 ? -1 : 1, power = (h >> 10) & 31, rest = h & 1023;
      halves[h] = sign * (power === 0 ? rest * 2 ** -24 : power === 31 ? (rest ? NaN : Infinity) : (1 + rest / 1024) * 2 ** (power - 15));
    }
  }
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = halves[bits[i]];
  return values;
}

function block(name) {
  const element = document.querySelector(`script[data-array="${CSS.escape(name)}"]`);
  if (!element) throw new Error(`this page holds no array ${name}`);
  return element.textContent;
}

/* The array, text or bytes of a name; float16 comes as Float32Array. */
async function readArray(name) {
  const about = HEADER.arrays[name], bytes = bytesOf(block(name));
  if (about.type === "webp") return new Blob([bytes], { type: "image/webp" });
  const raw = await inflated(bytes);
  if (about.type === "json") return JSON.parse(new TextDecoder().decode(raw));
  const values = new TYPES[about.type](raw);
  return about.type === "float16" ? fromHalf(values) : values;
}

/* Pictures of items, drawn from sheets. */
class Pictures {
  constructor(about, rows, count) {
    Object.assign(this, { width: about.width, height: about.height, across: about.across, down: about.down });
    this.sheets = about.sheets.map((name) => ({ name, bitmap: null, wanted: null }));
    this.place = null;
    if (rows) {
      this.place = new Int32Array(count).fill(-1);
      rows.forEach((row, i) => { this.place[row] = i; });
    }
    this.count = rows ? rows.length : count;
  }

  has(row) { return row >= 0 && (this.place === null || this.place[row] >= 0); }

  /* A promise of the bitmap of the sheet that holds an item. */
  load(row) {
    const at = this.place === null ? row : this.place[row], sheet = this.sheets[Math.floor(at / (this.across * this.down))];
    if (!sheet.wanted) sheet.wanted = readArray(sheet.name).then(createImageBitmap).then((bitmap) => (sheet.bitmap = bitmap));
    return sheet.wanted;
  }

  /* Draw the picture of an item; false where its sheet is not there yet, which is then asked for. */
  draw(context, row, x, y, width, height, later) {
    if (!this.has(row)) return false;
    const at = this.place === null ? row : this.place[row], size = this.across * this.down;
    const sheet = this.sheets[Math.floor(at / size)], inside = at % size;
    if (!sheet.bitmap) { this.load(row).then(() => later && later()); return false; }
    const left = (inside % this.across) * this.width, top = Math.floor(inside / this.across) * this.height;
    context.imageSmoothingEnabled = false;
    context.drawImage(sheet.bitmap, left, top, this.width, this.height, x, y, width, height);
    return true;
  }

  /* A canvas with the picture of an item, painted as soon as it can be. */
  canvas(row, size, words) {
    const canvas = document.createElement("canvas"), scale = size / Math.max(this.width, this.height);
    canvas.width = this.width; canvas.height = this.height; canvas.className = "picture";
    canvas.style.width = `${this.width * scale}px`; canvas.style.height = `${this.height * scale}px`;
    canvas.setAttribute("role", "img"); canvas.setAttribute("aria-label", words || "picture");
    const paint = () => this.draw(canvas.getContext("2d"), row, 0, 0, this.width, this.height, paint);
    paint();
    return canvas;
  }

  /* The pixels of an item as ImageData. */
  async pixels(row) {
    await this.load(row);
    const canvas = new OffscreenCanvas(this.width, this.height), context = canvas.getContext("2d");
    this.draw(context, row, 0, 0, this.width, this.height);
    return context.getImageData(0, 0, this.width, this.height);
  }
}

async function readPictures(about, count) {
  return about && new Pictures(about, about.rows ? await readArray(about.rows) : null, count);
}

async function readColumn(about) {
  const values = await readArray(about.array), levels = about.levels ? await readArray(about.levels) : null;
  const parts = about.name.match(/^([\w .-]{1,40})\/(.+)$/s) || [];
  return {
    name: about.name, kind: about.kind, values, levels,
    group: parts[1] || "", label: parts[2] || about.name,
    /* What a row holds, in words. */
    text: (row) => levels ? (values[row] < 0 ? "—" : levels[values[row]]) : number(values[row]),
    missing: (row) => (levels ? values[row] < 0 : Number.isNaN(values[row])),
  };
}

async function readMap(about) {
  const whole = await readArray(about.array), points = {};
  for (const [name, array] of Object.entries(about.points))
    points[name] = Float32Array.from(await readArray(array), (value) => value / 255);
  const places = new Float32Array(whole.length);
  for (let i = 0; i < whole.length; i++) places[i] = whole[i] / 32767;
  return { ...about, places, points };
}

async function readCodes(about, count) {
  if (!about) return null;
  let values = await readArray(about.array);
  if (about.step) {
    const raw = values, dim = about.dim;
    values = new Float32Array(raw.length);
    for (let i = 0; i < raw.length; i++) values[i] = about.centre[i % dim] + raw[i] * about.step[i % dim];
  }
  const scale = about.scale ? await readArray(about.scale) : null;
  return { ...about, values, scale, count, row: (i) => values.subarray(i * about.dim, (i + 1) * about.dim) };
}

async function readSpace(about, count) {
  const maps = await Promise.all(about.maps.map(readMap)), points = {};
  for (const [name, array] of Object.entries(about.points)) points[name] = await readArray(array);
  return { ...about, codes: await readCodes(about.codes, count), maps, points };
}

async function readStrip(about) {
  return { ...about, pictures: await readPictures(about.pictures, about.steps) };
}

/* Everything that the page shows. Spaces, strips and the decoder's weights are read when they are first asked for. */
async function readData() {
  const count = HEADER.count, once = (make) => { let made = null; return () => (made ??= make()); };
  const [ids, columns, maps, codes, pictures, reconstructions, words, weights] = await Promise.all([
    HEADER.ids.array ? readArray(HEADER.ids.array) : null,
    Promise.all(HEADER.columns.map(readColumn)),
    Promise.all(HEADER.maps.map(readMap)),
    readCodes(HEADER.codes, count),
    readPictures(HEADER.pictures, count),
    readPictures(HEADER.reconstructions, count),
    HEADER.vocabulary && readArray(HEADER.vocabulary.words),
    HEADER.vocabulary && readArray(HEADER.vocabulary.weights),
  ]);
  const decoder = HEADER.decoder && {
    ...HEADER.decoder,
    load: once(async () => Object.fromEntries(await Promise.all(Object.entries(HEADER.decoder.weights).map(
      async ([name, array]) => [name, await readArray(array)])))),
  };
  const rowOf = once(() => new Map(Array.from({ length: count }, (_, row) => [String(ids ? ids[row] : row), row])));
  return {
    title: HEADER.title, facts: HEADER.facts, warnings: HEADER.warnings, colour: HEADER.colour, named: HEADER.ids.kind === "text", vocabulary: words && { words, weights }, count, columns, maps, codes, pictures,
    reconstructions, decoder, tables: HEADER.tables,
    id: (row) => (ids ? ids[row] : row),
    row: (id) => rowOf().get(String(id)) ?? -1,
    column: (name) => columns.find((column) => column.name === name) || null,
    strips: once(() => Promise.all(HEADER.strips.map(readStrip))),
    spaces: once(() => Promise.all(HEADER.spaces.map((space) => readSpace(space, count)))),
    spaceNames: HEADER.spaces.map((space) => space.name),
  };
}
