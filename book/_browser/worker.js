"use strict";
// Works on photographs away from the page: prepares them, runs the network, tells how far it is.

const CORE = 256; // pixels of a tile's side: bounds the memory, changes nothing else
/** @type {Promise<Machine>} */
let machine;
/** @type {Map<string, Network>} */
const networks = new Map();

/**
 * The network of a request, once.
 * @param {any} request
 * @returns {Promise<Network & {data: NetworkData}>}
 */
async function loaded({ name, network }) {
  const net = networks.get(name) || new Network(await machine, network);
  networks.set(name, net);
  return /** @type {any} */ (net);
}

/**
 * The output of a network on a rectangle of an image, which it sees with all that an output there depends on.
 * @param {Network & {data: NetworkData}} net
 * @param {{image: Float32Array, rows: number, columns: number}} view
 * @param {[number, number]} y
 * @param {[number, number]} x
 * @param {(done: number, features: Features, crop: (plane: number) => Float32Array) => void} watch told after every
 *   step, with what lies in the rectangle of each plane
 */
function onRectangle(net, { image, rows, columns }, [top, bottom], [left, right], watch) {
  const { channels, reach } = net.data;
  const from = Math.max(0, top - reach), side = Math.max(0, left - reach);
  const h = Math.min(rows, bottom + reach) - from, w = Math.min(columns, right + reach) - side;
  const part = new Float32Array(channels * h * w);
  for (let c = 0, n = 0; c < channels; c++)
    for (let j = 0; j < h; j++, n += w) {
      const at = (c * rows + from + j) * columns + side;
      part.set(image.subarray(at, at + w), n);
    }
  /** @param {Float32Array} plane */
  const crop = (plane) => {
    const out = new Float32Array((bottom - top) * (right - left));
    for (let j = top, n = 0; j < bottom; j++, n += right - left) {
      const at = (j - from) * w + left - side;
      out.set(plane.subarray(at, at + right - left), n);
    }
    return out;
  };
  const planes = (/** @type {Features} */ f) => (/** @type {number} */ n) =>
    crop(net.machine.floats(f.address + 4 * n * h * w, h * w));
  return crop(net.run(part, h, w, (done, f) => watch(done, f, planes(f))));
}

/** @param {any} request */
async function segment(request) {
  const { id, network, picture } = request, { width, height } = picture;
  const net = await loaded(request), started = performance.now();
  const view = prepared(picture, network.channels), { rows, columns, field } = view;
  self.postMessage({ id, kind: "field", field: field.slice() });
  const found = new Float32Array(rows * columns);
  const tiles = spans(rows, CORE).flatMap((y) => spans(columns, CORE).map((x) => [y, x]));
  tiles.forEach(([y, x], done) => {
    const out = onRectangle(net, view, y, x, (part) => {
      self.postMessage({ id, kind: "progress", share: (done + part / network.steps.length) / tiles.length });
    });
    for (let j = y[0], n = 0; j < y[1]; j++)
      for (let i = x[0]; i < x[1]; i++, n++) found[j * columns + i] = 1 / (1 + Math.exp(-out[n]));
    const grown = broughtBack(found, view, height, width);
    for (let n = 0; n < grown.length; n++) if (!field[n]) grown[n] = 0;
    const last = done + 1 === tiles.length, seconds = (performance.now() - started) / 1000;
    self.postMessage({ id, kind: last ? "done" : "tile", probability: grown, seconds, rows, columns });
  });
}

/** @type {{image: Float32Array, rows: number, columns: number} | null} */
let observed = null;

/**
 * What every step of a network leaves in a square of a photograph: of each channel the largest value over the
 * orientations, and which orientation has it. A request without a picture means the last one.
 * @param {any} request
 */
async function observe(request) {
  const { id, network, picture, centre, side } = request, net = await loaded(request);
  if (picture) observed = prepared(picture, network.channels);
  const view = /** @type {NonNullable<typeof observed>} */ (observed), { rows, columns } = view;
  const [y, x] = [rows, columns].map((size, axis) => {
    const length = Math.min(side, size), start = Math.round(centre[axis] * size - length / 2);
    const first = Math.min(Math.max(0, start), size - length);
    return /** @type {[number, number]} */ ([first, first + length]);
  });
  self.postMessage({ id, kind: "window", rows, columns, y, x });
  const area = (y[1] - y[0]) * (x[1] - x[0]);
  onRectangle(net, view, y, x, (done, f, crop) => {
    const largest = new Float32Array(f.channels * area), where = new Uint8Array(f.channels * area);
    for (let c = 0; c < f.channels; c++) {
      const best = largest.subarray(c * area, (c + 1) * area), index = where.subarray(c * area, (c + 1) * area);
      best.set(crop(c * f.orientations));
      for (let o = 1; o < f.orientations; o++) {
        const plane = crop(c * f.orientations + o);
        for (let n = 0; n < area; n++) if (plane[n] > best[n]) [best[n], index[n]] = [plane[n], o];
      }
    }
    const { channels, orientations } = f;
    self.postMessage({ id, kind: "step", step: done - 1, channels, orientations, largest, where });
  });
  self.postMessage({ id, kind: "done" });
}

/** @type {Record<string, (request: any) => Promise<void>>} */
const TASKS = { segment, observe };

self.onmessage = async ({ data }) => {
  try {
    if (data.module) machine = Machine.load(data.module);
    await machine;
    if (data.task) await TASKS[data.task](data);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    self.postMessage({ id: data.id, kind: "failed", message });
  }
};
