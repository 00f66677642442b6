"use strict";
// An orientation score as pictures: planes of values in the colours of a map, and its high points in space.

const CLOUD = { size: 360, least: 0.35, shades: 32 }; // pixels; the value from which a point is shown; far to near

/** Colours [r, g, b, a] as the words that a picture consists of. @param {number[][]} colours */
const words = (colours) => new Uint32Array(Uint8ClampedArray.from(colours.flat()).buffer);

/** Every colour from dark to full, as words. @param {number[][]} colours */
function shaded(colours) {
  const light = (/** @type {number} */ n) => 0.6 + (0.4 * n) / (CLOUD.shades - 1);
  return words(colours.flatMap((colour) =>
    Array.from({ length: CLOUD.shades }, (_, n) => colour.map((part, c) => (c < 3 ? light(n) * part : part)))));
}

/**
 * A square of values from 0 to 1 in the colours of a palette of 256 words.
 * @param {HTMLCanvasElement} canvas
 * @param {number} side
 * @param {Uint32Array} palette
 * @param {(n: number) => number} value
 */
function paint(canvas, side, palette, value) {
  if (canvas.width !== side) Object.assign(canvas, { width: side, height: side });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const pixels = context.createImageData(side, side), colours = new Uint32Array(pixels.data.buffer);
  for (let n = 0; n < colours.length; n++) {
    colours[n] = palette[Math.round(255 * Math.min(Math.max(value(n), 0), 1))];
  }
  context.putImageData(pixels, 0, 0);
}

/**
 * The points where a score [orientations, side, side] is high, as seen from the side; the nearest hides what is behind.
 * @param {HTMLCanvasElement} canvas
 * @param {Float32Array} score
 * @param {{side: number, orientations: number, yaw: number, pitch: number}} view
 * @param {Uint32Array} shades of every orientation, as `shaded` makes them
 */
function drawCloud(canvas, score, { side, orientations, yaw, pitch }, shades) {
  const { size } = CLOUD, scale = (1.6 * 128) / side, depth = new Float32Array(size * size).fill(-1e9);
  if (canvas.width !== size) Object.assign(canvas, { width: size, height: size });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const pixels = context.createImageData(size, size), colours = new Uint32Array(pixels.data.buffer);
  const [c, s, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  for (let n = 0; n < score.length; n++) {
    if (score[n] < CLOUD.least) continue;
    const o = Math.floor(n / (side * side)), z = (o / orientations - 0.5) * side;
    const x = (n % side) - side / 2, y = (Math.floor(n / side) % side) - side / 2;
    const across = c * x - s * y, along = s * x + c * y, near = sp * along + cp * z;
    const px = Math.round(size / 2 + scale * across), py = Math.round(size / 2 + scale * (cp * along - sp * z));
    if (px < 1 || py < 1 || px >= size - 1 || py >= size - 1) continue;
    const light = Math.round((CLOUD.shades - 1) * Math.min(1, Math.max(0, near / side + 0.5)));
    for (let dy = -1; dy <= 1; dy++)
      for (let dx = -1; dx <= 1; dx++) {
        const at = (py + dy) * size + px + dx;
        if (near <= depth[at]) continue;
        depth[at] = near;
        colours[at] = shades[o * CLOUD.shades + light];
      }
  }
  context.putImageData(pixels, 0, 0);
}
