/* The decoder as an ONNX model, run by onnxruntime-web from files that the page holds: one thread, no request. Returns a
   function that promises what a code is decoded to. */
async function onnxDecoder({ script, wasm, model }) {
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const ort = await import(address);
  URL.revokeObjectURL(address);
  Object.assign(ort.env.wasm, { numThreads: 1, proxy: false, wasmBinary: wasm.buffer });
  ort.env.logLevel = "error";
  const session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
  const decode = async (z) => (await session.run({ z: new ort.Tensor("float32", Float32Array.from(z), [1, z.length]) })).x.data;
  decode.waits = true;
  return decode;
}

/* The same once it gives here what Python decoded; the largest difference is kept beside the decoder. */
async function checkedOnnxDecoder(decoder) {
  const parts = await decoder.load(), decode = await onnxDecoder(parts);
  const count = decoder.checks, d = parts.codes.length / count, wide = parts.shown.length / count;
  decoder.off = 0;
  for (let i = 0; i < count; i++) {
    const made = await decode(parts.codes.subarray(i * d, (i + 1) * d));
    for (let j = 0; j < wide; j++) {
      const off = Math.abs(made[j] - parts.shown[i * wide + j]);
      if (!(off <= decoder.off)) decoder.off = off;
    }
  }
  return decoder.off <= 0.01 * (decoder.high - decoder.low) ? decode : null;
}
