"use strict";
// The two explorers of explorers.html. Length scales are w = (1, zeta, 1) with zeta >= 1; x is the column, y the row.
// Every formula is a kernel of kernels_cu/; a set of points is one array of rows (x, y, angle).
// The page carries a block of data that the build writes: the exact distance, the colours and the line styles.
(() => {
  const EXTENT = 3; // pixels on either side of p0
  const ORIENTATIONS = 8;
  const TURN = (2 * Math.PI) / ORIENTATIONS;
  const CLIP = 1; // kernel values above it have the last colour
  const SAMPLES = 81; // along a side of a slice
  /** @type {Record<string, string>} */
  const NAMES = { d: "d", rho_c: "ρc", rho_b: "ρb", rho_b_sr: "ρb,sr", rho_b_com: "ρb,com" };
  /** @type {Record<string, number[]>} */
  const DASHES = { solid: [], dashed: [7, 4], dashdot: [8, 3, 2, 3], dotted: [2, 3] };
  /** @type {any} */ let data;
  /** @type {Machine} */ let machine;
  /** @type {Operators} */ let operators;
  /** @typedef {{zeta: number, alpha: number, t: number, o: number, theta: number, level: number}} Sliders */
  /** @typedef {Sliders & {estimate: string, shown: string[]}} State */

  // ---- values at points ----------------------------------------------------------------------------------------

  /** A table of the law Power of an estimate, at the coordinates of so many points. */
  function powers(/** @type {number} */ b, /** @type {number} */ count, /** @type {string} */ name, /** @type {number} */ zeta, /** @type {number[]} */ law) {
    const k = operators.table(b, Float32Array.from([1, zeta, 1]), 1, count, name, "Power", law);
    const values = machine.floats(k, count).slice();
    machine.give(k);
    return values;
  }

  // An estimate takes the same value on p and on its inverse, which is what the coordinates are taken of.
  function rho(/** @type {string} */ name, /** @type {Float32Array} */ points, /** @type {number} */ zeta) {
    const b = operators.coordinatesAt(points, 1, name), values = powers(b, points.length / 3, name, zeta, [0.5, 1, LARGEST]);
    machine.give(b);
    return values;
  }

  /** The points of all slices of the picture of a kernel, and their coordinates at every orientation, by estimate. */
  const slices = new Float32Array(3 * 5 * SAMPLES * SAMPLES);
  for (let n = 0; n < slices.length / 3; n++) {
    const at = (/** @type {number} */ k) => EXTENT * ((2 * (k + 0.5)) / SAMPLES - 1);
    const slice = Math.floor(n / SAMPLES ** 2), pixel = n % SAMPLES ** 2;
    slices.set([at(pixel % SAMPLES), at(Math.floor(pixel / SAMPLES)), (slice - 2) * TURN], 3 * n);
  }
  /** @type {Record<string, number>} */
  const known = {};

  // The kernel at neighbours (x, y, theta_o + angle) of p = (0, 0, theta_o).
  function kernel(/** @type {string} */ name, /** @type {Pick<State, "zeta" | "alpha" | "t" | "o">} */ { zeta, alpha, t, o }, /** @type {Float32Array} */ points) {
    const count = points.length / 3, kept = points === slices;
    const b = (kept && known[name]) || operators.coordinatesAt(points, ORIENTATIONS, name);
    if (kept) known[name] = b;
    const values = powers(b + 12 * o * count, count, name, zeta, powerLaw(alpha, t));
    if (!kept) machine.give(b);
    return values;
  }

  // The exact distance, between the nodes of its table. It is even in every half-angle coordinate, so the table covers
  // one octant; its nodes lie at reach * s^2, dense where the distance bends most. Angles are multiples of its step.
  function distance(/** @type {Float32Array} */ points, /** @type {number} */ zeta) {
    if (zeta === 1) return rho("rho_b", points, 1);
    const { nodes, heights, reach, unit, zetas } = data.distance, count = points.length / 3;
    const address = operators.coordinatesAt(points, 1, "rho_b"), b = machine.floats(address, points.length).slice();
    machine.give(address);
    const node = (/** @type {number} */ k) => reach * (k / (nodes - 1)) ** 2;
    const between = (/** @type {number} */ value) => {
      const position = Math.min(Math.sqrt(value / reach) * (nodes - 1), nodes - 1);
      const low = Math.min(Math.floor(position), nodes - 2);
      return [low, Math.min((value - node(low)) / (node(low + 1) - node(low)), 1)];
    };
    return Float32Array.from({ length: count }, (_, n) => {
      const height = Math.round((Math.abs(b[3 * n + 2]) / Math.PI) * (heights - 1));
      const slice = (zetas.indexOf(zeta) * heights + height) * nodes * nodes;
      const [[i, u], [j, v]] = [between(Math.abs(b[3 * n])), between(Math.abs(b[3 * n + 1]))];
      const at = (/** @type {number} */ di, /** @type {number} */ dj) => data.table[slice + (i + di) * nodes + j + dj];
      return unit * ((1 - u) * ((1 - v) * at(0, 0) + v * at(0, 1)) + u * ((1 - v) * at(1, 0) + v * at(1, 1)));
    });
  }

  const field = (/** @type {string} */ name, /** @type {Float32Array} */ points, /** @type {number} */ zeta) =>
    name === "d" ? distance(points, zeta) : rho(name, points, zeta);

  // ---- drawing -------------------------------------------------------------------------------------------------

  const context2d = (/** @type {HTMLCanvasElement} */ canvas) =>
    /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));

  /**
   * A canvas of the width of its column, sharp on every screen; everything below is in CSS pixels.
   * @param {HTMLCanvasElement} canvas
   * @param {(width: number) => number} height
   */
  function prepare(canvas, height) {
    const width = canvas.clientWidth, scale = window.devicePixelRatio || 1, context = context2d(canvas);
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height(width) * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height(width));
    context.fillStyle = context.strokeStyle = "#222";
    context.font = "12px sans-serif";
    return context;
  }

  /**
   * @param {number} width
   * @param {number} height
   * @param {(col: number, row: number) => number[]} colour
   */
  function picture(width, height, colour) {
    const image = document.createElement("canvas");
    image.width = width;
    image.height = height;
    const context = context2d(image), pixels = context.createImageData(width, height);
    for (let row = 0, k = 0; row < height; row++) {
      for (let col = 0; col < width; col++, k += 4) pixels.data.set(colour(col, row), k);
    }
    context.putImageData(pixels, 0, 0);
    return image;
  }

  /** @type {(value: number) => number[]} */
  const cividis = (value) => data.colours[Math.round(255 * Math.min(Math.max(value / CLIP, 0), 1))];

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} x
   * @param {number} y
   * @param {number} angle
   * @param {number} length
   */
  function arrow(context, x, y, angle, length) {
    context.save();
    context.translate(x, y);
    context.rotate(angle); // rows grow downward, as the angle does
    context.beginPath();
    [[-length, 0, length, 0], [length, 0, length - 5, -4], [length, 0, length - 5, 4]].forEach(([a, b, c, d]) => {
      context.moveTo(a, b);
      context.lineTo(c, d);
    });
    context.strokeStyle = "#fff";
    context.lineWidth = 2;
    context.stroke();
    context.restore();
  }

  // Five slices and the colour bar: two rows of three, or one row of six where a page is very wide.
  function kernelLayout(/** @type {number} */ width) {
    const columns = width < 1000 ? 3 : 6, cell = width / columns, side = cell - 8;
    return { columns, cell, side, row: side + 26, height: (6 / columns) * (side + 26) };
  }

  function drawKernel(/** @type {HTMLCanvasElement} */ canvas, /** @type {State} */ state) {
    const context = prepare(canvas, (width) => kernelLayout(width).height);
    const { columns, cell, side, row } = kernelLayout(canvas.clientWidth);
    const values = kernel(state.estimate, state, slices);
    for (let slice = 0; slice < 5; slice++) {
      const step = slice - 2, left = (slice % columns) * cell + 4, top = Math.floor(slice / columns) * row + 20;
      /** @type {(col: number, line: number) => number[]} */
      const shown = (col, line) => cividis(values[(slice * SAMPLES + line) * SAMPLES + col]);
      const degrees = (((state.o + step + ORIENTATIONS) % ORIENTATIONS) * 360) / ORIENTATIONS;
      context.textAlign = "left";
      context.fillText(`${step > 0 ? "+" : ""}${step} (${degrees}°)`, left, top - 6);
      context.drawImage(picture(SAMPLES, SAMPLES, shown), left, top, side, side);
      for (const { colour, size } of [{ colour: "#222", size: 3 }, { colour: "#fff", size: 1.5 }]) {
        context.fillStyle = colour;
        for (let tap = 0; tap < 25; tap++) {
          const place = (/** @type {number} */ v) => ((v + EXTENT) / (2 * EXTENT)) * side - size / 2;
          context.fillRect(left + place((tap % 5) - 2), top + place(Math.floor(tap / 5) - 2), size, size);
        }
      }
      context.fillStyle = "#222";
      arrow(context, left + side / 2, top + side / 2, (state.o + step) * TURN, side / 9);
    }
    const left = 5 % columns * cell + 14, top = Math.floor(5 / columns) * row + 20;
    context.fillText("k", left, top - 6);
    context.drawImage(picture(1, 256, (_, line) => cividis((CLIP * (255 - line)) / 255)), left, top, 16, side);
    context.fillText(`≥ ${CLIP}`, left + 22, top + 0.06 * side);
    context.fillText(`${CLIP / 2}`, left + 22, top + 0.5 * side + 4);
    context.fillText("0", left + 22, top + side);
    canvas.setAttribute("aria-label", `The kernel with ${NAMES[state.estimate]} in five slices, orientation steps ` +
      `-2 to 2, zeta ${state.zeta.toFixed(2)}, alpha ${state.alpha}, t ${state.t}, at ${state.o * 45} degrees`);
  }

  /** @type {(width: number, px: number, py: number, state: State) => string} */
  function readKernel(width, px, py, state) {
    const { columns, cell, side, row } = kernelLayout(width);
    const slice = Math.floor(px / cell) + columns * Math.floor(py / row);
    const x = (((px % cell) - 4) / side) * 2 * EXTENT - EXTENT, y = (((py % row) - 20) / side) * 2 * EXTENT - EXTENT;
    if (slice > 4 || Math.max(Math.abs(x), Math.abs(y)) > EXTENT) return "";
    const [value] = kernel(state.estimate, state, Float32Array.of(x, y, (slice - 2) * TURN));
    return `x = ${x.toFixed(2)}, y = ${y.toFixed(2)}, step ${slice - 2}: k = ${value.toPrecision(4)}`;
  }

  const MARGIN = 30; // room for the labels of the axes

  function drawFronts(/** @type {HTMLCanvasElement} */ canvas, /** @type {State} */ state) {
    const n = 121, context = prepare(canvas, (width) => width), side = canvas.clientWidth - MARGIN - 8;
    const coordinate = (/** @type {number} */ k) => -EXTENT + (2 * EXTENT * k) / (n - 1);
    const trace = (/** @type {number[][][]} */ lines, /** @type {number} */ first) => {
      const place = (/** @type {number} */ k) => ((k - first) / (n - 1)) * side;
      context.beginPath();
      for (const line of lines) {
        line.forEach(([x, y], k) => context[k ? "lineTo" : "moveTo"](MARGIN + place(x), 8 + place(y)));
      }
    };
    const points = new Float32Array(3 * n * n);
    for (let i = 0; i < n * n; i++) {
      points.set([coordinate(i % n), coordinate(Math.floor(i / n)), state.theta], 3 * i);
    }
    for (const name of state.shown) {
      const values = field(name, points, state.zeta);
      if (name === "d") {
        // A frame of large values closes every line, so that the set can be filled.
        const framed = new Float64Array((n + 2) ** 2).fill(1e9);
        for (let row = 0; row < n; row++) framed.set(values.subarray(row * n, row * n + n), (row + 1) * (n + 2) + 1);
        trace(contours(framed, n + 2, state.level), 1);
        context.fillStyle = "#dedede";
        context.fill("evenodd");
        context.fillStyle = "#222";
      }
      const style = data.styles[name];
      context.strokeStyle = style.colors;
      context.lineWidth = style.linewidths;
      context.setLineDash(DASHES[style.linestyles]);
      trace(contours(values, n, state.level), 0);
      context.stroke();
    }
    context.setLineDash([]);
    context.lineWidth = 1;
    context.strokeStyle = "#222";
    context.strokeRect(MARGIN, 8, side, side);
    for (let tick = -EXTENT; tick <= EXTENT; tick++) {
      const place = ((tick + EXTENT) / (2 * EXTENT)) * side;
      context.textAlign = "center";
      context.fillText(`${tick}`, MARGIN + place, side + 24);
      context.textAlign = "right";
      context.fillText(`${tick}`, MARGIN - 6, 12 + place);
    }
    context.fillText("x", MARGIN + (side * 11) / 12, side + 24);
    context.fillText("y", MARGIN - 6, 12 + (side * 11) / 12);
    canvas.setAttribute("aria-label", `Wavefronts at distance ${state.level} of ` +
      `${state.shown.map((name) => NAMES[name]).join(", ") || "nothing"}: zeta ${state.zeta}, ` +
      `theta ${Math.round((state.theta * 180) / Math.PI)} degrees, x and y from -3 to 3`);
  }

  /** @type {(width: number, px: number, py: number, state: State) => string} */
  function readFronts(width, px, py, state) {
    const side = width - MARGIN - 8;
    const [x, y] = [px - MARGIN, py - 8].map((v) => (v / side) * 2 * EXTENT - EXTENT);
    if (Math.max(Math.abs(x), Math.abs(y)) > EXTENT) return "";
    const value = (/** @type {string} */ name) => field(name, Float32Array.of(x, y, state.theta), state.zeta)[0].toFixed(2);
    const values = Object.keys(NAMES).map((name) => `${NAMES[name]} = ${value(name)}`);
    return `x = ${x.toFixed(2)}, y = ${y.toFixed(2)}: ${values.join(", ")}`;
  }

  // ---- the page ------------------------------------------------------------------------------------------------

  // What a slider stands at, as a number, and how it is read out.
  /** @type {Record<keyof Sliders, {value: (v: number) => number, text: (v: number) => string}>} */
  const SLIDERS = {
    zeta: { value: (v) => 2 ** v, text: (v) => v.toFixed(2) },
    level: { value: (v) => v, text: (v) => v.toFixed(2) },
    alpha: { value: (v) => v, text: (v) => v.toFixed(3) },
    t: { value: (v) => v, text: (v) => v.toFixed(2) },
    o: { value: (v) => v, text: (v) => `${v} (${(v * 360) / ORIENTATIONS}°)` },
    theta: { value: (v) => (v * Math.PI) / 180, text: (v) => `${Math.round((v * 180) / Math.PI)}°` },
  };

  /**
   * @param {string} name of the explorer
   * @param {(canvas: HTMLCanvasElement, state: State) => void} draw
   * @param {(width: number, px: number, py: number, state: State) => string} read
   */
  function connect(name, draw, read) {
    const root = /** @type {HTMLElement} */ (document.getElementById(name));
    const canvas = /** @type {HTMLCanvasElement} */ (root.querySelector("canvas"));
    const readout = /** @type {HTMLElement} */ (root.querySelector(".explorer-readout")), hint = readout.textContent;
    const inputs = /** @type {HTMLInputElement[]} */ ([...root.querySelectorAll("input")]);
    const state = /** @type {State} */ ({});
    const update = () => {
      state.estimate = root.querySelector("select")?.value || "";
      state.shown = inputs.filter((input) => input.type === "checkbox" && input.checked).map((box) => box.name);
      for (const input of inputs.filter(({ type }) => type === "range")) {
        const slider = /** @type {keyof Sliders} */ (input.name), { value, text } = SLIDERS[slider];
        state[slider] = value(input.valueAsNumber);
        tell(input, text(state[slider]));
      }
      draw(canvas, state);
    };
    const point = (/** @type {PointerEvent} */ event) => {
      readout.textContent = read(canvas.clientWidth, event.offsetX, event.offsetY, state) || hint;
    };
    root.addEventListener("input", update);
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("pointerleave", () => (readout.textContent = hint));
    let width = 0;
    new ResizeObserver(() => {
      if (canvas.clientWidth === width) return;
      width = canvas.clientWidth;
      update();
    }).observe(canvas);
  }

  /** @type {any} */ (window).pdegcnn = {
    // Values at single points, for whoever wants to compare them.
    /** @type {Record<string, (...all: any[]) => number>} */
    explorers: {
      rho: (name, x, y, theta, zeta) => rho(name, Float32Array.of(x, y, theta), zeta)[0],
      kernel: (name, state, step, x, y) => kernel(name, state, Float32Array.of(x, y, step * TURN))[0],
      distance: (x, y, theta, zeta) => distance(Float32Array.of(x, y, theta), zeta)[0],
    },
  };

  document.addEventListener("DOMContentLoaded", async () => {
    data = JSON.parse(document.getElementById("explorer-data")?.textContent || "");
    const found = await machineFor(data.module, document.querySelectorAll(".explorer"), (text) => {
      for (const readout of document.querySelectorAll(".explorer-readout")) readout.textContent = text;
    });
    if (!found) return;
    machine = found;
    operators = new Operators(machine);
    const bytes = Uint8Array.from(atob(data.distance.values), (letter) => letter.charCodeAt(0));
    data.table = Uint16Array.from({ length: bytes.length / 2 }, (_, i) => bytes[2 * i] + 256 * bytes[2 * i + 1]);
    for (const line of /** @type {NodeListOf<SVGPathElement>} */ (document.querySelectorAll(".explorer label path"))) {
      const { name } = /** @type {HTMLInputElement} */ (line.closest("label")?.querySelector("input"));
      const { colors, linewidths, linestyles } = data.styles[name];
      const strokeDasharray = DASHES[linestyles].join(" ");
      Object.assign(line.style, { stroke: colors, strokeWidth: linewidths, strokeDasharray });
    }
    connect("kernel-explorer", drawKernel, readKernel);
    connect("wavefront-explorer", drawFronts, readFronts);
  });
})();
