"use strict";
// What a step of a network does to a channel, as a picture and a sentence.

/** @typedef {{main: string, colours: number[][], signed: number[][]}} Colours */

const FIELD = { reach: 2.5, positions: 17, angles: 90 }; // of an association field: pixels and samples

/**
 * A square canvas in units of pixels of the photograph, the origin in the middle; sharp on every screen.
 * @param {HTMLCanvasElement} canvas
 * @param {number} reach
 */
function pad(canvas, reach) {
  const side = Math.round((canvas.clientWidth || 300) * (window.devicePixelRatio || 1));
  Object.assign(canvas, { width: side, height: side });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = "#fff";
  context.fillRect(0, 0, side, side);
  context.setTransform(side / (2 * reach), 0, 0, side / (2 * reach), side / 2, side / 2);
  context.lineCap = "round";
  return context;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number][]} points
 * @param {string} colour
 * @param {number} width
 */
function line(context, points, colour, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  points.forEach(([x, y], n) => context[n ? "lineTo" : "moveTo"](x, y));
  context.stroke();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {[number, number]} from
 * @param {[number, number]} to
 * @param {string} colour
 */
function arrow(context, from, to, colour) {
  const angle = Math.atan2(to[1] - from[1], to[0] - from[0]), head = 0.3;
  const barb = (/** @type {number} */ turn) =>
    /** @type {[number, number]} */ ([to[0] + head * Math.cos(angle + turn), to[1] + head * Math.sin(angle + turn)]);
  line(context, [from, to], colour, 0.1);
  line(context, [barb(2.6), to, barb(-2.6)], colour, 0.1);
}

const rgb = (/** @type {number[]} */ colour) => `rgb(${colour.slice(0, 3)})`;
const shade = (/** @type {Colours} */ { signed }, /** @type {number} */ part) => rgb(signed[Math.round(127.5 * (1 + part))]);

/**
 * The association field of a dilation or an erosion: at every position the orientation for which the kernel is least,
 * thick and dark where that least value is small.
 */
function drawField(/** @type {any} */ { canvas, machine, step, channel, colours }) {
  const { reach, positions, angles } = FIELD, w = Machine.numbers(step.w).slice(3 * channel, 3 * channel + 3);
  const place = (/** @type {number} */ n) => reach * ((2 * n) / (positions - 1) - 1);
  const angle = (/** @type {number} */ a) => Math.PI * (a / angles - 0.5);
  const q = [];
  for (let j = 0; j < positions; j++)
    for (let i = 0; i < positions; i++) for (let a = 0; a < angles; a++) q.push(place(i), place(j), angle(a));
  const operators = new Operators(machine), count = q.length / 3;
  const b = operators.coordinatesAt(Float32Array.from(q), 1, step.estimate);
  const table = operators.table(b, w, 1, count, step.estimate, "Power", [step.exponent, step.scale, LARGEST]);
  const k = /** @type {Machine} */ (machine).floats(table, count).slice(), context = pad(canvas, reach + 0.35);
  machine.give(b, table);
  const half = (0.84 * reach) / (positions - 1);
  for (let n = 0; n < positions * positions; n++) {
    const at = k.subarray(n * angles, (n + 1) * angles), least = at.reduce((x, y) => Math.min(x, y));
    if (least >= 1) continue;
    const x = place(n % positions), y = place(Math.floor(n / positions)), best = angle(at.indexOf(least));
    const [dx, dy] = [half * Math.cos(best), half * Math.sin(best)], colour = rgb(colours.colours[Math.round(255 * least)]);
    line(context, [[x - dx, y - dy], [x + dx, y + dy]], colour, 0.03 + 0.1 * (1 - least));
  }
  arrow(context, [-0.4, 0], [0.4, 0], colours.main);
  const [main, lateral, angular] = [...w].map((value) => value.toFixed(2));
  return `The ${step.step} of channel ${channel + 1}: line elements that are near the arrow. Forward costs ${main} ` +
    `a pixel, sideways ${lateral}, turning ${angular} a radian.`;
}

function drawShift(/** @type {any} */ { canvas, network, step, channel, colours }) {
  const { orientations } = network, context = pad(canvas, 4);
  const by = Machine.numbers(step.displacement).subarray(3 * orientations * channel);
  for (let n = -3.5; n <= 3.5; n++) {
    line(context, [[n, -4], [n, 4]], "#bbb", 0.02);
    line(context, [[-4, n], [4, n]], "#bbb", 0.02);
  }
  const turn = (-by[2] * 360) / orientations, [x, y] = [-by[0], -by[1]];
  arrow(context, [0, 0], [x, y], colours.main);
  return `The convection of channel ${channel + 1}: what points to the right moves by ${x.toFixed(2)} pixels forward, ` +
    `${y.toFixed(2)} sideways, and turns by ${turn.toFixed(0)} degrees. The grid is that of the pixels.`;
}

function drawLift(/** @type {any} */ { canvas, network, step, channel, colours }) {
  const { orientations } = network, padded = ceil(step.outputs, 4), { size } = step, context = pad(canvas, 1);
  const w = Machine.numbers(step.w), columns = 3, cell = 2 / columns, pixel = (0.9 * cell) / size;
  const filters = Array.from({ length: orientations }, (_, o) =>
    Array.from({ length: size * size }, (_, t) => w[t * padded + channel * orientations + o]));
  const most = Math.max(1e-9, ...filters.flat().map(Math.abs));
  filters.forEach((filter, o) => filter.forEach((value, t) => {
    context.fillStyle = shade(colours, value / most);
    const x = cell * ((o % columns) + 0.05) - 1, y = cell * (Math.floor(o / columns) + 0.05) - 1;
    context.fillRect(x + pixel * (t % size), y + pixel * Math.floor(t / size), 1.03 * pixel, 1.03 * pixel);
  }));
  return `The lift to channel ${channel + 1}: one filter at ${orientations} angles, ${360 / orientations} degrees apart.`;
}

function drawMixing(/** @type {any} */ { canvas, step, channel, colours }) {
  const padded = ceil(step.outputs, 4), w = Machine.numbers(step.w), { terms } = step, context = pad(canvas, 1);
  const to = Math.min(channel, step.outputs - 1), wide = 1.8 / terms;
  const weights = Array.from({ length: terms }, (_, t) => w[t * padded + to]);
  const most = Math.max(1e-9, ...weights.map(Math.abs));
  line(context, [[-0.95, 0], [0.95, 0]], "#888", 0.008);
  weights.forEach((weight, t) => {
    context.fillStyle = shade(colours, 0.7 * Math.sign(weight));
    context.fillRect(wide * t - 0.9, 0, 0.8 * wide, (-0.9 * weight) / most);
  });
  const largest = weights.findIndex((weight) => Math.abs(weight) === most) + 1;
  return step.outputs === 1
    ? `The output is a weighted sum of the ${terms} channels; channel ${largest} has the largest weight.`
    : `The new channel ${to + 1} is a weighted sum of all ${terms}, from left to right; channel ${largest} has the ` +
      "largest weight.";
}

/**
 * Draws what a step does to a channel, and says it.
 * @param {HTMLCanvasElement} canvas
 * @param {Machine} machine
 * @param {NetworkData} network
 * @param {number} number of the step
 * @param {number} channel
 * @param {Colours} colours
 */
function drawn(canvas, machine, network, number, channel, colours) {
  const step = network.steps[number], all = { canvas, machine, network, step, channel, colours };
  if (step.step === "dilation" || step.step === "erosion") return drawField(all);
  if (step.step === "shift") return drawShift(all);
  if (step.step === "combination") return step.size > 1 ? drawLift(all) : drawMixing(all);
  pad(canvas, 1);
  return "From here on every pixel keeps the largest of its values over the orientations.";
}
