"use strict";
// A photograph as the vessel networks were shown theirs: the field of view, the scale of training, the standard form.
// The same steps as pdegcnn_lib.companion.segment and its data.fundus; tests/browser hold one against the other.

const DARK = 0.08; // the red channel of the frame around the eye stays below this
const RIM = 6; // pixels
const FIELD_DIAMETER = 455; // of the eye in the pictures that the networks were trained on
const SIGMA = 12; // pixels of the surroundings that a picture is measured by
const NEAR = 0.01; // a scale that is so near to 1/n counts as 1/n
const MOST_PIXELS = 1e6; // that a network is shown, whatever the scale asks for

/**
 * The mean over 5 x 5 pixels, the border continued.
 * @param {Float64Array} plane
 * @param {number} height
 * @param {number} width
 */
function smoothed(plane, height, width) {
  const along = new Float64Array(plane.length), out = new Float64Array(plane.length);
  const clamp = (/** @type {number} */ n, /** @type {number} */ end) => Math.min(Math.max(n, 0), end - 1);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let d = -2; d <= 2; d++) sum += plane[y * width + clamp(x + d, width)];
      along[y * width + x] = sum;
    }
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let sum = 0;
      for (let d = -2; d <= 2; d++) sum += along[clamp(y + d, height) * width + x];
      out[y * width + x] = sum / 25;
    }
  return out;
}

/**
 * Marks what is connected to a pixel by steps along the axes, with a number, and returns how much that is.
 * @param {Uint8Array} open where one may go
 * @param {Int32Array} labels zero where nobody was
 * @param {number} start
 * @param {number} label
 * @param {number} width
 * @param {Int32Array} stack as large as the picture
 */
function flood(open, labels, start, label, width, stack) {
  let top = 0, count = 0;
  const visit = (/** @type {number} */ n) => {
    if (open[n] && !labels[n]) {
      labels[n] = label;
      stack[top++] = n;
    }
  };
  for (visit(start); top; count++) {
    const n = stack[--top], x = n % width;
    if (x > 0) visit(n - 1);
    if (x < width - 1) visit(n + 1);
    if (n >= width) visit(n - width);
    if (n + width < open.length) visit(n + width);
  }
  return count;
}

/**
 * The part of a photograph that shows the eye: the largest bright region, without holes, less a rim.
 * @param {Uint8ClampedArray} rgba
 * @param {number} height
 * @param {number} width
 * @returns {Uint8Array}
 */
function fieldOfView(rgba, height, width) {
  const size = height * width, red = new Float64Array(size);
  for (let n = 0; n < size; n++) red[n] = rgba[4 * n] / 255;
  const bright = Uint8Array.from(smoothed(red, height, width), (value) => (value > DARK ? 1 : 0));
  const corners = [0, width - 1, size - width, size - 1];
  if (corners.every((n) => bright[n]) || !bright.includes(1)) return new Uint8Array(size).fill(1);

  const stack = new Int32Array(size), labels = new Int32Array(size);
  let best = 0, most = 0, label = 0;
  for (let n = 0; n < size; n++) {
    if (!bright[n] || labels[n]) continue;
    const count = flood(bright, labels, n, ++label, width, stack);
    if (count > most) [best, most] = [label, count];
  }
  // What the border cannot reach without crossing the region is inside it.
  const outside = Uint8Array.from(labels, (found) => (found === best ? 0 : 1)), reached = new Int32Array(size);
  for (let x = 0; x < width; x++) for (const n of [x, size - width + x]) flood(outside, reached, n, 1, width, stack);
  for (let y = 0; y < height; y++)
    for (const n of [y * width, y * width + width - 1]) flood(outside, reached, n, 1, width, stack);

  let field = Uint8Array.from(reached, (found) => (found ? 0 : 1));
  for (let round = 0; round < RIM; round++) {
    const next = new Uint8Array(size);
    for (let y = 1; y < height - 1; y++)
      for (let x = 1; x < width - 1; x++) {
        const n = y * width + x;
        next[n] = field[n] & field[n - 1] & field[n + 1] & field[n - width] & field[n + width];
      }
    field = next;
  }
  return field;
}

/**
 * Where every output of a resized axis reads, and with what weights: linear, the mean of its part where it shrinks.
 * @param {number} from
 * @param {number} to
 */
function readings(from, to) {
  const scale = from / to;
  return Array.from({ length: to }, (_, n) => {
    const weights = [];
    let start;
    if (scale > 1) {
      const begin = scale * n, end = Math.min(scale * (n + 1), from);
      start = Math.floor(begin);
      for (let m = start; m < end; m++) weights.push(Math.min(m + 1, end) - Math.max(m, begin));
    } else {
      const centre = scale * (n + 0.5), end = Math.min(Math.trunc(centre + 1.5), from);
      start = Math.max(Math.trunc(centre - 0.5), 0);
      for (let m = start; m < end; m++) weights.push(Math.max(0, 1 - Math.abs(m - centre + 0.5)));
    }
    const sum = weights.reduce((a, b) => a + b, 0);
    return { start, weights: weights.map((weight) => weight / sum) };
  });
}

/**
 * A plane at another size.
 * @param {ArrayLike<number>} plane
 * @param {number} height
 * @param {number} width
 * @param {number} rows
 * @param {number} columns
 * @returns {Float32Array}
 */
function resized(plane, height, width, rows, columns) {
  if (rows === height && columns === width) return Float32Array.from(plane);
  const along = new Float32Array(height * columns), out = new Float32Array(rows * columns);
  readings(width, columns).forEach(({ start, weights }, x) => {
    for (let y = 0; y < height; y++) {
      let sum = 0;
      for (let m = 0; m < weights.length; m++) sum += weights[m] * plane[y * width + start + m];
      along[y * columns + x] = sum;
    }
  });
  readings(height, rows).forEach(({ start, weights }, y) => {
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let m = 0; m < weights.length; m++) sum += weights[m] * along[(start + m) * columns + x];
      out[y * columns + x] = sum;
    }
  });
  return out;
}

/**
 * The Gaussian mean of SIGMA pixels, with zeros around the picture.
 * @param {Float64Array} plane
 * @param {number} height
 * @param {number} width
 */
function blurred(plane, height, width) {
  const radius = 4 * SIGMA, weights = new Float64Array(2 * radius + 1);
  for (let d = -radius; d <= radius; d++) weights[d + radius] = Math.exp(-(d * d) / (2 * SIGMA * SIGMA));
  const sum = weights.reduce((a, b) => a + b, 0);
  const along = new Float64Array(plane.length), out = new Float64Array(plane.length);
  for (let y = 0; y < height; y++)
    for (let d = -radius; d <= radius; d++) {
      if (y + d < 0 || y + d >= height) continue;
      const weight = weights[d + radius] / sum, to = y * width, from = (y + d) * width;
      for (let x = 0; x < width; x++) along[to + x] += weight * plane[from + x];
    }
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      let total = 0;
      const first = Math.max(-radius, -x), last = Math.min(radius, width - 1 - x);
      for (let d = first; d <= last; d++) total += weights[d + radius] * along[y * width + x + d];
      out[y * width + x] = total / sum;
    }
  return out;
}

/**
 * A channel relative to its surroundings: without their mean, in units of their deviation; 0 outside the field.
 * @param {Float32Array} plane
 * @param {Uint8Array} inside
 * @param {number} height
 * @param {number} width
 * @returns {Float32Array}
 */
function standardised(plane, inside, height, width) {
  const m = Float64Array.from(inside), weight = blurred(m, height, width).map((value) => Math.max(value, 1e-6));
  const mean = blurred(m.map((value, n) => value * plane[n]), height, width);
  const centred = m.map((value, n) => value * (plane[n] - mean[n] / weight[n]));
  const local = blurred(centred.map((value) => value * value), height, width).map((value, n) => value / weight[n]);
  let sum = 0, count = 0;
  for (let n = 0; n < local.length; n++) {
    sum += inside[n] * local[n];
    count += inside[n];
  }
  const everywhere = Math.max(sum / count, 1e-12);
  return Float32Array.from(centred, (value, n) => value / Math.sqrt((local[n] + everywhere) / 2));
}

/**
 * A picture's size at a scale, and the rows and columns of the picture that pixels of that size cover.
 * @param {number} height
 * @param {number} width
 * @param {number} scale
 */
function sizes(height, width, scale) {
  const n = scale < 1 ? Math.round(1 / scale) : 1;
  if (n > 1 && Math.abs(n * scale - 1) < NEAR && Math.floor(Math.min(height, width) / n) >= 8) {
    const rows = Math.floor(height / n), columns = Math.floor(width / n);
    return { rows, columns, shown: { rows: n * rows, columns: n * columns } };
  }
  const [rows, columns] = [height, width].map((length) => Math.max(8, Math.round(length * scale)));
  return { rows, columns, shown: { rows: height, columns: width } };
}

/**
 * The first rows and columns of a plane.
 * @param {ArrayLike<number>} plane
 * @param {number} width
 * @param {{rows: number, columns: number}} part
 */
function cropped(plane, width, { rows, columns }) {
  return Float32Array.from({ length: rows * columns }, (_, n) => plane[Math.floor(n / columns) * width + (n % columns)]);
}

/**
 * What was found in a prepared photograph, at its own size; what the network was not shown repeats the last row or column.
 * @param {Float32Array} found
 * @param {{rows: number, columns: number, shown: {rows: number, columns: number}}} view
 * @param {number} height
 * @param {number} width
 */
function broughtBack(found, { rows, columns, shown }, height, width) {
  const grown = resized(found, rows, columns, shown.rows, shown.columns);
  return Float32Array.from({ length: height * width }, (_, n) => {
    const y = Math.min(Math.floor(n / width), shown.rows - 1), x = Math.min(n % width, shown.columns - 1);
    return grown[y * shown.columns + x];
  });
}

/**
 * A photograph prepared for a network of so many channels, and its field of view.
 * @param {{data: Uint8ClampedArray, width: number, height: number}} picture
 * @param {number} channels 1 for the green one, 3 for all
 */
function prepared(picture, channels) {
  const { data, width, height } = picture;
  let field = fieldOfView(data, height, width);
  let area = field.reduce((sum, value) => sum + value, 0);
  if (!area) [field, area] = [new Uint8Array(width * height).fill(1), width * height];
  const framed = area < width * height;
  const natural = framed ? FIELD_DIAMETER / (2 * Math.sqrt(area / Math.PI)) : 1;
  const scale = Math.min(natural, Math.sqrt(MOST_PIXELS / (width * height)));
  const { rows, columns, shown } = sizes(height, width, scale);
  const smaller = (/** @type {ArrayLike<number>} */ plane) =>
    resized(cropped(plane, width, shown), shown.rows, shown.columns, rows, columns);
  const inside = Uint8Array.from(smaller(field), (value) => (value >= 0.5 ? 1 : 0));
  if (!inside.includes(1)) inside.fill(1);
  const image = new Float32Array(channels * rows * columns);
  for (let c = 0; c < channels; c++) {
    const from = channels === 1 ? 1 : c;
    const plane = Float32Array.from({ length: width * height }, (_, n) => data[4 * n + from] / 255);
    image.set(standardised(smaller(plane), inside, rows, columns), c * rows * columns);
  }
  return { image, rows, columns, shown, field };
}

if (typeof module !== "undefined") module.exports = { prepared, resized, broughtBack, fieldOfView };
