"use strict";
// Contour lines of values on a grid.

/**
 * Marching squares on values[row * n + col]. An edge of the grid is 2 i (from i to the right) or 2 i + 1 (downward).
 * @param {Float32Array | Float64Array} values
 * @param {number} n
 * @param {number} level
 * @returns {number[][][]} lines of points (col, row)
 */
function contours(values, n, level) {
  /** @type {Map<number, number[]>} */
  const links = new Map();
  const inside = (/** @type {number} */ i) => values[i] <= level;
  const linked = (/** @type {number} */ edge) => links.get(edge) || [];
  const link = (/** @type {number} */ a, /** @type {number} */ b) => links.set(a, [...linked(a), b]);
  for (let row = 0; row < n - 1; row++) {
    for (let i = row * n; i < row * n + n - 1; i++) {
      const [a, b, c, d] = [inside(i), inside(i + 1), inside(i + n + 1), inside(i + n)];
      if (a === b && b === c && c === d) continue;
      const cut = [a !== b ? 2 * i : -1, b !== c ? 2 * i + 3 : -1, c !== d ? 2 * (i + n) : -1, d !== a ? 2 * i + 1 : -1]
        .filter((edge) => edge >= 0);
      for (let k = 0; k < cut.length; k += 2) {
        link(cut[k], cut[k + 1]);
        link(cut[k + 1], cut[k]);
      }
    }
  }
  const point = (/** @type {number} */ edge) => {
    const from = edge >> 1, down = edge & 1, to = from + (down ? n : 1);
    const part = (level - values[from]) / (values[to] - values[from]);
    return [(from % n) + (down ? 0 : part), Math.floor(from / n) + (down ? part : 0)];
  };
  const seen = new Set();
  const follow = (/** @type {number} */ start) => {
    const line = [];
    /** @type {number | undefined} */ let edge = start;
    for (; edge !== undefined; edge = linked(edge).find((next) => !seen.has(next))) {
      seen.add(edge);
      line.push(point(edge));
    }
    return linked(start).length === 2 ? [...line, line[0]] : line;
  };
  // Open lines first, from an end; what is left are loops.
  const starts = [...links.keys()].sort((a, b) => linked(a).length - linked(b).length);
  return starts.flatMap((start) => (seen.has(start) ? [] : [follow(start)]));
}
