"use strict";
// A trained network, step by step, on the kernels of kernels_cu/. Features are [channels, orientations, height, width].

/**
 * @typedef {{step: "combination", terms: number, outputs: number, size: number, w: string, bias: string}} Combination
 * @typedef {{step: "shift", channels: number, displacement: string}} Shift
 * @typedef {{step: "dilation" | "erosion", channels: number, window: number[], estimate: string, exponent: number,
 *   scale: number, w: string}} Morphology
 * @typedef {{step: "projection"}} Largest
 * @typedef {Combination | Shift | Morphology | Largest} Step
 * @typedef {{channels: number, orientations: number, steps: Step[]}} Computation
 * @typedef {Computation & {label: string, parameters: number, bytes: number, reach: number, threshold: number}} NetworkData
 * @typedef {{address: number, channels: number, orientations: number, height: number, width: number}} Features
 */

const NU = 1.6; // the constant of rho_b_sr
/** @type {Record<string, string>} */
const FORMULAS = {
  rho_c: "Diagonal", rho_b: "Diagonal", rho_b_sr: "SubRiemannian", rho_b_com: "Combined",
  rho_b_sr_covariant: "SubRiemannianCovariant", rho_b_com_covariant: "CombinedCovariant",
};
const LARGEST = 3.1e35; // a table's values above it are infinite
const ceil = (/** @type {number} */ a, /** @type {number} */ b) => Math.ceil(a / b) * b;

/** The operators on features in the memory of a machine. */
class Operators {
  /** @param {Machine} machine */
  constructor(machine) {
    this.machine = machine;
  }

  /**
   * The coordinates [Or, N, 3] at which the kernel of a window is sampled.
   * @param {number[]} window orientations, rows, columns
   * @param {number} orientations
   * @param {string} estimate
   */
  coordinates(window, orientations, estimate) {
    const q = [];
    for (let i = 0; i < window[0]; i++)
      for (let j = 0; j < window[1]; j++)
        for (let l = 0; l < window[2]; l++)
          q.push(l - (window[2] >> 1), j - (window[1] >> 1), (i - (window[0] >> 1)) * ((2 * Math.PI) / orientations));
    return this.coordinatesAt(Float32Array.from(q), orientations, estimate);
  }

  /**
   * The same at neighbours (x, y, angle), which need not lie on the grid.
   * @param {Float32Array} neighbours
   * @param {number} orientations
   * @param {string} estimate
   */
  coordinatesAt(neighbours, orientations, estimate) {
    const { machine } = this, count = neighbours.length / 3;
    const q = machine.copy(neighbours), p = machine.take(3 * orientations * count);
    const b = machine.take(3 * orientations * count);
    machine.launch("coordinates_relative", orientations, [q, p, orientations, count]);
    const kind = estimate === "rho_c" ? "logarithmic" : "half_angle";
    machine.launch(`coordinates_${kind}`, 1, [p, b, orientations * count]);
    machine.give(q, p);
    return b;
  }

  /**
   * A kernel table [channels, Or, N].
   * @param {number} b coordinates [Or, N, 3]
   * @param {Float32Array} scales w of every channel
   * @param {number} orientations
   * @param {number} count N
   * @param {string} estimate
   * @param {string} law Power, Gaussian or Poisson
   * @param {number[]} constants of the law
   */
  table(b, scales, orientations, count, estimate, law, constants) {
    const { machine } = this, channels = scales.length / 3;
    const k = machine.take(channels * orientations * count), w = machine.copy(scales);
    const c = machine.copy(Float32Array.from([NU, ...constants]));
    machine.launch(`table_${FORMULAS[estimate]}_${law}_kernel_table`, channels, [k, b, 0, w, c, orientations, count], 64);
    machine.give(w, c);
    return k;
  }

  /**
   * The convolution of features with a kernel over a semiring: `tropical` with sign 1 dilates, with -1 it erodes.
   * @param {string} semiring tropical or linear
   * @param {Features} f
   * @param {number} k
   * @param {number} out
   * @param {number} sign
   * @param {number[]} window
   */
  convolve(semiring, f, k, out, sign, window) {
    const rows = Math.min(64, ceil(f.height, 8)), columns = Math.min(64, ceil(f.width, 16));
    const blocks = f.channels * Math.ceil(f.height / rows) * Math.ceil(f.width / columns);
    const taps = window[0] * window[1] * window[2];
    const planes = f.orientations; // one block has them all
    const tile = planes * (rows + window[1] - 1) * ceil(columns + window[2] - 1, 16);
    const unit = semiring + (window[1] === 5 && window[2] === 5 ? "5" : "");
    this.machine.launch(
      `${unit}_semiring_convolution`, blocks,
      [f.address, k, out, 0, 0, sign, f.channels, 1, planes, f.height, f.width, 1, ...window, planes, rows, columns],
      4 * (tile + planes * (3 * taps + 2)),
    );
  }

  /**
   * Features displaced by (dx, dy, ds) for every channel and orientation.
   * @param {Features} f
   * @param {number} displacement
   * @param {number} out
   */
  shift(f, displacement, out) {
    const { channels, orientations, height, width } = f;
    const args = [f.address, displacement, out, channels, orientations, height, width, 1];
    this.machine.launch("transport_shift", channels * orientations, args, 4 * ceil(width, 16));
  }
}

/**
 * The constants of the law Power for dilation and erosion of order alpha for a time t.
 * @param {number} alpha above 1/2
 * @param {number} t
 */
function powerLaw(alpha, t) {
  const exponent = alpha / (2 * alpha - 1), nu = (2 * alpha - 1) * (2 * alpha) ** (-2 * exponent);
  return [exponent, nu * t ** (1 - 2 * exponent), LARGEST];
}

/** A network with what its steps compute with, once for all tiles: kernel tables, weights and displacements. */
class Network {
  /**
   * @param {Machine} machine
   * @param {Computation} data
   */
  constructor(machine, data) {
    this.machine = machine;
    this.data = data;
    this.operators = new Operators(machine);
    /** @type {Map<string, number>} */
    this.coordinates = new Map();
    this.steps = data.steps.map((step) => this.prepared(step));
  }

  /** A step with what it computes with, as addresses. @param {Step} step */
  prepared(step) {
    const copy = (/** @type {string} */ text) => this.machine.copy(Machine.numbers(text));
    switch (step.step) {
      case "combination":
        return { ...step, weights: copy(step.w), shifts: copy(step.bias) };
      case "shift":
        return { ...step, by: copy(step.displacement) };
      case "projection":
        return step;
      default: {
        const { orientations } = this.data, { window, estimate, exponent, scale } = step;
        const count = window[0] * window[1] * window[2], key = JSON.stringify([window, estimate]);
        const b = this.coordinates.get(key) ?? this.operators.coordinates(window, orientations, estimate);
        this.coordinates.set(key, b);
        const scales = Machine.numbers(step.w), law = [exponent, scale, LARGEST];
        return { ...step, k: this.operators.table(b, scales, orientations, count, estimate, "Power", law) };
      }
    }
  }

  /**
   * The output of the network for an image [channels, height, width], one plane.
   * @param {Float32Array} image
   * @param {number} height
   * @param {number} width
   * @param {(done: number, features: Features, step: Step) => void} [watch] told after every step how many are done
   * @returns {Float32Array}
   */
  run(image, height, width, watch = () => {}) {
    const { machine, data } = this, half = /** @type {Combination} */ (data.steps[0]).size >> 1; // the lift's
    const [padded, pitch] = reflected(image, data.channels, height, width, half);
    const planes = data.steps.map((step) => {
      if (step.step !== "combination") return 0;
      return step.size > 1 ? step.outputs : step.outputs * data.orientations;
    });
    const most = Math.max(...planes) * height * width;
    const input = machine.copy(padded), buffers = [machine.take(most), machine.take(most)];
    /** @type {Features} */
    let f = { address: input, channels: data.channels, orientations: 1, height: height + 2 * half, width: pitch };
    try {
      this.steps.forEach((step, n) => {
        const address = buffers[n % 2];
        f = this.apply(step, f, address, height, width);
        watch(n + 1, f, step);
      });
      return machine.floats(f.address, height * width).slice();
    } finally {
      machine.give(input, ...buffers);
    }
  }

  /**
   * @param {ReturnType<Network["prepared"]>} step
   * @param {Features} f
   * @param {number} out
   * @param {number} height
   * @param {number} width
   * @returns {Features}
   */
  apply(step, f, out, height, width) {
    const { machine } = this, next = { ...f, address: out };
    if (step.step === "combination") {
      const lifting = step.size > 1, offsets = [];
      const plane = f.orientations * f.height * f.width;
      for (let c = 0; c < f.channels; c++)
        for (let j = 0; j < step.size; j++)
          for (let l = 0; l < step.size; l++) offsets.push(c * plane + j * f.width + l);
      const where = machine.copy(Int32Array.from(offsets));
      const rows = lifting ? height : f.orientations * height;
      const sizes = [step.terms, step.outputs, rows, width, f.width];
      machine.launch("dense_combination", rows, [f.address, step.weights, step.shifts, where, out, ...sizes]);
      machine.give(where);
      if (!lifting) return { ...next, channels: step.outputs };
      const { orientations } = this.data;
      return { address: out, channels: step.outputs / orientations, orientations, height, width };
    }
    if (step.step === "projection") {
      machine.launch("dense_projection", f.channels, [f.address, out, f.orientations, height * width]);
      return { ...next, orientations: 1 };
    }
    if (step.step === "shift") this.operators.shift(f, step.by, out);
    else this.operators.convolve("tropical", f, step.k, out, step.step === "dilation" ? 1 : -1, step.window);
    return next;
  }
}

/**
 * An image continued by its mirror image on every side.
 * @param {Float32Array} image
 * @param {number} channels
 * @param {number} height
 * @param {number} width
 * @param {number} by pixels, fewer than the image has
 * @returns {[Float32Array, number]} and its width
 */
function reflected(image, channels, height, width, by) {
  const rows = height + 2 * by, columns = width + 2 * by, out = new Float32Array(channels * rows * columns);
  const mirror = (/** @type {number} */ n, /** @type {number} */ size) => {
    const at = Math.abs(n);
    return at < size ? at : 2 * size - 2 - at;
  };
  for (let c = 0, n = 0; c < channels; c++)
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++, n++)
        out[n] = image[(c * height + mirror(y - by, height)) * width + mirror(x - by, width)];
  return [out, columns];
}

/**
 * An axis cut into nearly equal pieces of at most `core`.
 * @param {number} length
 * @param {number} core
 * @returns {[number, number][]}
 */
function spans(length, core) {
  const count = Math.ceil(length / core);
  const cut = (/** @type {number} */ n) => Math.round((n * length) / count);
  return Array.from({ length: count }, (_, n) => [cut(n), cut(n + 1)]);
}

if (typeof module !== "undefined") module.exports = { Network, Operators, spans };
