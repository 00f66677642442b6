"use strict";
// Segments photographs away from the page: prepares, runs the network tile by tile, tells how far it is.

const CORE = 256; // pixels of a tile's side: bounds the memory, changes nothing else
/** @type {Promise<Machine>} */
let machine;
/** @type {Map<string, Network>} */
const networks = new Map();

/** @param {any} request */
async function segment({ id, name, network, picture }) {
  if (!networks.has(name)) networks.set(name, new Network(await machine, network));
  const net = networks.get(name), started = performance.now();
  const { width, height } = picture;
  const { image, rows, columns, field } = prepared(picture, network.channels);
  self.postMessage({ id, kind: "field", field: field.slice() });
  const found = new Float32Array(rows * columns);
  const tiles = spans(rows, CORE).flatMap((y) => spans(columns, CORE).map((x) => [y, x]));
  const halo = tiles.length > 1 ? network.reach : 0;
  tiles.forEach(([[top, bottom], [left, right]], done) => {
    const y = Math.max(0, top - halo), x = Math.max(0, left - halo);
    const h = Math.min(rows, bottom + halo) - y, w = Math.min(columns, right + halo) - x;
    const part = new Float32Array(network.channels * h * w);
    for (let c = 0, n = 0; c < network.channels; c++)
      for (let j = 0; j < h; j++, n += w) {
        const from = (c * rows + y + j) * columns + x;
        part.set(image.subarray(from, from + w), n);
      }
    const out = net.run(part, h, w, (share) => {
      self.postMessage({ id, kind: "progress", share: (done + share) / tiles.length });
    });
    for (let j = top; j < bottom; j++)
      for (let i = left; i < right; i++) found[j * columns + i] = 1 / (1 + Math.exp(-out[(j - y) * w + i - x]));
    const grown = resized(found, rows, columns, height, width);
    for (let n = 0; n < grown.length; n++) if (!field[n]) grown[n] = 0;
    const last = done + 1 === tiles.length, seconds = (performance.now() - started) / 1000;
    self.postMessage({ id, kind: last ? "done" : "tile", probability: grown, seconds, rows, columns });
  });
}

self.onmessage = async ({ data }) => {
  try {
    if (data.module) machine = Machine.load(data.module);
    await machine;
    if (data.picture) await segment(data);
  } catch (error) {
    self.postMessage({ id: data.id, kind: "failed", message: String(error && error.message || error) });
  }
};
