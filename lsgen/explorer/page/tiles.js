/* The decoder in the page as a function of one code; null where it does not give here what Python decoded. That of ONNX
   Runtime waits: it gives a promise. */
async function decoderOf(data) {
  if (data.decoder.onnx) return checkedOnnxDecoder(data.decoder);
  const { steps, shape, low, high, load } = data.decoder;
  data.program = { steps, weights: await load(), shape, low, high };
  const made = decoderEngine(data.program);
  data.decoder.off = made.check().error;
  return data.decoder.off <= 0.01 * (high - low) ? (z) => made.decode(Float32Array.from(z)) : null;
}

/* What stands for a code that no item has: what the decoder in the page makes of it, or else the nearest real item. */
function tilesOf(data) {
  if (data.tiles) return data.tiles;
  const engine = engineOf(data);
  let decode = null;
  const fits = data.decoder && data.codes && data.codes.dim === data.codes.full;
  const refuse = (error) => { decode = null; data.decoder.refusal = error.message; };
  const ready = fits ? decoderOf(data).then((made) => { decode = made; }, refuse) : Promise.resolve();
  const known = new Map(), most = 500;  // what a decoder that waits has decoded
  let queue = Promise.resolve();

  const keyOf = (z) => Float32Array.from(z).join();
  const at = (z) => (decode.waits ? known.get(keyOf(z)) : decode(z));

  /* Have what codes are decoded to, where that takes a wait, so that it can be asked for at once; for as long as it is
     wanted. A decoder that fails is not asked again: from then on the nearest real items stand for codes. */
  async function prepare(codes, wanted = () => true) {
    if (!decode?.waits) return;
    if (known.size + codes.length > most) known.clear();
    try {
      for (const z of codes) if (decode && wanted() && !known.has(keyOf(z))) known.set(keyOf(z), await decode(z));
    } catch (error) {
      refuse(error);
    }
  }

  /* Paint a code as soon as it is decoded, unless another is wanted in its place by then. */
  function paintLater(place, z, size) {
    const key = (place.dataset.wanted = keyOf(z));
    if (!place.firstChild) place.append(h("span", { class: "noface", style: `width:${size}px;height:${size}px` }, "…"));
    queue = queue.then(async () => {
      if (place.dataset.wanted !== key) return;
      await prepare([z]);
      if (place.dataset.wanted === key) paint(place, z, size);
    });
  }

  function nearestRow(z) { return engine.search.nearest(engine.space, z, 1).indices[0]; }

  /* Paint a code into an element; keeps the element's size. */
  function paint(place, z, size, frame = null) {
    if (decode) {
      const made = frame ?? at(z), shape = data.decoder.shape;
      if (!made) { paintLater(place, z, size); return; }
      delete place.dataset.wanted;
      if (shape.length > 1) { paintPixels(place, made, shape, size); return; }
      place.replaceChildren(data.vocabulary?.words.length === made.length ? wordsOf(data, made) : curveOf(made, size));
      return;
    }
    if (engine.problem) { place.replaceChildren(h("span", { class: "noface" }, "·")); return; }
    const row = nearestRow(z);
    place.dataset.row = row;
    place.replaceChildren(...(data.pictures ? [face(data, row, size)] : []), h("small", {}, words(data.id(row), 12)));
  }

  function paintPixels(place, made, shape, size) {
    const [height, width, channels = 1] = shape, { low, high } = data.decoder;
    let canvas = place.querySelector("canvas");
    if (!canvas) {
      canvas = h("canvas", { class: "picture", role: "img", "aria-label": "decoded code", width, height });
      canvas.style.width = `${size * width / Math.max(width, height)}px`;
      canvas.style.height = `${size * height / Math.max(width, height)}px`;
      place.replaceChildren(canvas);
    }
    const context = canvas.getContext("2d"), image = context.createImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) {
        const value = made[i * channels + (channels === 3 ? c : 0)];
        image.data[4 * i + c] = 255 * Math.min(1, Math.max(0, (value - low) / (high - low)));
      }
      image.data[4 * i + 3] = 255;
    }
    context.putImageData(image, 0, 0);
  }

  /* A decoded row of numbers as a small line. */
  function curveOf(values, size) {
    const low = Math.min(...values), high = Math.max(...values), n = values.length;
    const points = Array.from(values, (value, i) => `${(n > 1 ? i / (n - 1) : 0.5) * 100},${100 - (value - low) / (high - low || 1) * 100}`);
    return svg("svg", { viewBox: "-4 -4 108 108", width: size, height: size, role: "img", "aria-label": `decoded code: ${n} numbers from ${number(low)} to ${number(high)}` },
      svg("polyline", { points: points.join(" "), class: "decoded", fill: "none", "stroke-width": 3, stroke: "currentColor" }));
  }

  return (data.tiles = {
    ready, paint, nearestRow,
    prepare,
    decodes: () => decode !== null,
    waits: () => Boolean(decode?.waits),
    decode: at,
    /* One sentence on what the tiles are. */
    words: () => (decode ? `Pictures are decoded in this page${decode.waits ? " by ONNX Runtime" : ""}.`
      : data.decoder?.refusal ? `${data.decoder.onnx ? "ONNX Runtime" : "The decoder"} does not run here (${shortened(data.decoder.refusal, 120)}): each step shows the nearest real item.` : data.decoder?.off !== undefined
      ? "The decoder gives other values here than those that Python decoded, so it is not used: each step shows the nearest real item."
      : data.pictures
      ? "This page has no decoder: each step shows the nearest real item."
      : "This page has neither a decoder nor pictures: each step names the nearest real item."),
  });
}

/* A row of tiles for codes; a click looks at the nearest real item. marked: indices that are hatched; frames: what
   the codes are decoded to, where that is known. */
function codeStrip(data, store, codes, { size = 44, marked = [], captions = [], frames = [] } = {}) {
  const tiles = tilesOf(data), strip = h("div", { class: "filmstrip", role: "group", "aria-label": `${codes.length} steps`, style: `--n:${Math.min(codes.length, 13)}` });
  codes.forEach((z, i) => {
    const place = h("button", { type: "button", class: marked.includes(i) ? "tile off" : "tile",
      "aria-label": `step ${i + 1} of ${codes.length}${marked.includes(i) ? ", far from all codes" : ""}: look at the nearest item`,
      onclick: () => { if (!engineOf(data).problem) store.set({ focus: tiles.nearestRow(z) }); } });
    const inner = h("span", {});
    tiles.paint(inner, z, size, frames[i]);
    place.append(inner);
    if (captions[i]) place.append(h("small", {}, captions[i]));
    strip.append(place);
  });
  return strip;
}

/* Decoded rates of words as the three that tell most. */
function wordsOf(data, values) {
  const { words: known, weights } = data.vocabulary, score = Float64Array.from(values, (value, i) => -value * weights[i]);
  return h("span", { class: "wordtile" }, ascending(score).slice(0, 3).map((i) => words(known[i], 12)));
}
