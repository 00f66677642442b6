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
  /** @typedef {{zeta: number, alpha: number, t: number, o: number, theta: number, level: number, estimate: string, shown: string[]}} State */

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
  function kernel(/** @type {string} */ name, /** @type {State} */ { zeta, alpha, t, o }, /** @type {Float32Array} */ points) {
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

  // ---- contour lines -------------------------------------------------------------------------------------------

  // Marching squares on values[row * n + col]. An edge of the grid is 2 i (from i to the right) or 2 i + 1 (downward).
  function contours(values, n, level) {
    const links = new Map();
    const inside = (i) => values[i] <= level;
    const link = (a, b) => (links.has(a) ? links.get(a).push(b) : links.set(a, [b]));
    for (let row = 0; row < n - 1; row++) {
      for (let i = row * n; i < row * n + n - 1; i++) {
        const [a, b, c, d] = [inside(i), inside(i + 1), inside(i + n + 1), inside(i + n)];
        if (a === b && b === c && c === d) continue;
        const cuts = [[a !== b, 2 * i], [b !== c, 2 * i + 3], [c !== d, 2 * (i + n)], [d !== a, 2 * i + 1]];
        const cut = cuts.filter(([crossed]) => crossed).map(([, edge]) => edge);
        for (let k = 0; k < cut.length; k += 2) {
          link(cut[k], cut[k + 1]);
          link(cut[k + 1], cut[k]);
        }
      }
    }
    const point = (edge) => {
      const from = edge >> 1, down = edge & 1, to = from + (down ? n : 1);
      const part = (level - values[from]) / (values[to] - values[from]);
      return [(from % n) + (down ? 0 : part), Math.floor(from / n) + (down ? part : 0)];
    };
    const seen = new Set();
    const follow = (start) => {
      const line = [];
      for (let edge = start; edge !== undefined; edge = links.get(edge).find((next) => !seen.has(next))) {
        seen.add(edge);
        line.push(point(edge));
      }
      return links.get(start).length === 2 ? [...line, line[0]] : line;
    };
    // Open lines first, from an end; what is left are loops.
    const starts = [...links.keys()].sort((a, b) => links.get(a).length - links.get(b).length);
    return starts.flatMap((start) => (seen.has(start) ? [] : [follow(start)]));
  }

  // ---- drawing -------------------------------------------------------------------------------------------------

  // A canvas of the width of its column, sharp on every screen; everything below is in CSS pixels.
  function prepare(canvas, height) {
    const width = canvas.clientWidth, scale = window.devicePixelRatio || 1, context = canvas.getContext("2d");
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height(width) * scale);
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height(width));
    context.fillStyle = context.strokeStyle = "#222";
    context.font = "12px sans-serif";
    return context;
  }

  function picture(width, height, colour) {
    const image = document.createElement("canvas");
    image.width = width;
    image.height = height;
    const context = image.getContext("2d"), pixels = context.createImageData(width, height);
    for (let row = 0, k = 0; row < height; row++) {
      for (let col = 0; col < width; col++, k += 4) pixels.data.set(colour(col, row), k);
    }
    context.putImageData(pixels, 0, 0);
    return image;
  }

  const cividis = (value) => data.palette[Math.round(255 * Math.min(Math.max(value / CLIP, 0), 1))];

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
  function kernelLayout(width) {
    const columns = width < 1000 ? 3 : 6, cell = width / columns, side = cell - 8;
    return { columns, cell, side, row: side + 26, height: (6 / columns) * (side + 26) };
  }

  function drawKernel(canvas, state) {
    const context = prepare(canvas, (width) => kernelLayout(width).height);
    const { columns, cell, side, row } = kernelLayout(canvas.clientWidth);
    const values = kernel(state.estimate, state, slices);
    for (let slice = 0; slice < 5; slice++) {
      const step = slice - 2, left = (slice % columns) * cell + 4, top = Math.floor(slice / columns) * row + 20;
      const shown = (col, line) => cividis(values[(slice * SAMPLES + line) * SAMPLES + col]);
      const degrees = (((state.o + step + ORIENTATIONS) % ORIENTATIONS) * 360) / ORIENTATIONS;
      context.textAlign = "left";
      context.fillText(`${step > 0 ? "+" : ""}${step} (${degrees}°)`, left, top - 6);
      context.drawImage(picture(SAMPLES, SAMPLES, shown), left, top, side, side);
      for (const [colour, size] of [["#222", 3], ["#fff", 1.5]]) {
        context.fillStyle = colour;
        for (let tap = 0; tap < 25; tap++) {
          const place = (v) => ((v + EXTENT) / (2 * EXTENT)) * side - size / 2;
          context.fillRect(left + place((tap % 5) - 2), top + place(Math.floor(tap / 5) - 2), size, size);
        }
      }
      context.fillStyle = "#222";
      arrow(context, left + side / 2, top + side / 2, (state.o + step) * TURN, side / 9);
    }
    const left = 5 % columns * cell + 14, top = Math.floor(5 / columns) * row + 20;
    context.fillText("k", left, top - 6);
    context.drawImage(picture(1, 256, (_, line) => cividis((CLIP * (255 - line)) / 255)), left, top, 16, side);
    [[`≥ ${CLIP}`, 0.06], [`${CLIP / 2}`, 0.5], ["0", 1]].forEach(([text, part]) => {
      context.fillText(text, left + 22, top + part * side + (part === 0.5 ? 4 : 0));
    });
    canvas.setAttribute("aria-label", `The kernel with ${NAMES[state.estimate]} in five slices, orientation steps ` +
      `-2 to 2, zeta ${state.zeta.toFixed(2)}, alpha ${state.alpha}, t ${state.t}, at ${state.o * 45} degrees`);
  }

  function readKernel(width, px, py, state) {
    const { columns, cell, side, row } = kernelLayout(width);
    const slice = Math.floor(px / cell) + columns * Math.floor(py / row);
    const x = (((px % cell) - 4) / side) * 2 * EXTENT - EXTENT, y = (((py % row) - 20) / side) * 2 * EXTENT - EXTENT;
    if (slice > 4 || Math.max(Math.abs(x), Math.abs(y)) > EXTENT) return "";
    const [value] = kernel(state.estimate, state, Float32Array.of(x, y, (slice - 2) * TURN));
    return `x = ${x.toFixed(2)}, y = ${y.toFixed(2)}, step ${slice - 2}: k = ${value.toPrecision(4)}`;
  }

  const MARGIN = 30; // room for the labels of the axes

  function drawFronts(canvas, state) {
    const n = 121, context = prepare(canvas, (width) => width), side = canvas.clientWidth - MARGIN - 8;
    const coordinate = (k) => -EXTENT + (2 * EXTENT * k) / (n - 1);
    const trace = (lines, first) => {
      const place = (k) => ((k - first) / (n - 1)) * side;
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
      context.fillText(tick, MARGIN + place, side + 24);
      context.textAlign = "right";
      context.fillText(tick, MARGIN - 6, 12 + place);
    }
    context.fillText("x", MARGIN + (side * 11) / 12, side + 24);
    context.fillText("y", MARGIN - 6, 12 + (side * 11) / 12);
    canvas.setAttribute("aria-label", `Wavefronts at distance ${state.level} of ` +
      `${state.shown.map((name) => NAMES[name]).join(", ") || "nothing"}: zeta ${state.zeta}, ` +
      `theta ${Math.round((state.theta * 180) / Math.PI)} degrees, x and y from -3 to 3`);
  }

  function readFronts(width, px, py, state) {
    const side = width - MARGIN - 8;
    const [x, y] = [px - MARGIN, py - 8].map((v) => (v / side) * 2 * EXTENT - EXTENT);
    if (Math.max(Math.abs(x), Math.abs(y)) > EXTENT) return "";
    const value = (name) => field(name, Float32Array.of(x, y, state.theta), state.zeta)[0].toFixed(2);
    const values = Object.keys(NAMES).map((name) => `${NAMES[name]} = ${value(name)}`);
    return `x = ${x.toFixed(2)}, y = ${y.toFixed(2)}: ${values.join(", ")}`;
  }

  // ---- the page ------------------------------------------------------------------------------------------------

  // What a slider stands at, as a number, and how it is read out.
  const SLIDERS = {
    zeta: { value: (v) => 2 ** v, text: (v) => v.toFixed(2) },
    level: { value: (v) => v, text: (v) => v.toFixed(2) },
    alpha: { value: (v) => v, text: (v) => v.toFixed(3) },
    t: { value: (v) => v, text: (v) => v.toFixed(2) },
    o: { value: (v) => v, text: (v) => `${v} (${(v * 360) / ORIENTATIONS}°)` },
    theta: { value: (v) => (v * Math.PI) / 180, text: (v) => `${Math.round((v * 180) / Math.PI)}°` },
  };

  function connect(root, draw, read) {
    const canvas = root.querySelector("canvas"), readout = root.querySelector(".explorer-readout");
    const hint = readout.textContent;
    let state;
    const update = () => {
      state = { estimate: root.querySelector("select")?.value };
      state.shown = [...root.querySelectorAll("input[type=checkbox]:checked")].map((box) => box.name);
      for (const input of root.querySelectorAll("input[type=range]")) {
        const { value, text } = SLIDERS[input.name];
        state[input.name] = value(input.valueAsNumber);
        input.parentElement.querySelector(".explorer-value").textContent = text(state[input.name]);
        input.setAttribute("aria-valuetext", text(state[input.name]));
      }
      draw(canvas, state);
    };
    const point = (event) => {
      readout.textContent = read(canvas.clientWidth, event.offsetX, event.offsetY, state) || hint;
    };
    root.addEventListener("input", update);
    canvas.addEventListener("pointermove", point);
    canvas.addEventListener("pointerdown", point);
    canvas.addEventListener("pointerleave", () => (readout.textContent = hint));
    let width = 0;
    new ResizeObserver(() => {
      if (canvas.clientWidth !== width) update((width = canvas.clientWidth));
    }).observe(canvas);
  }

  /** @type {any} */ (window).pdegcnn = {
    // Values at single points, for whoever wants to compare them.
    explorers: {
      rho: (name, x, y, theta, zeta) => rho(name, Float32Array.of(x, y, theta), zeta)[0],
      kernel: (name, state, step, x, y) => kernel(name, state, Float32Array.of(x, y, step * TURN))[0],
      distance: (x, y, theta, zeta) => distance(Float32Array.of(x, y, theta), zeta)[0],
    },
  };

  document.addEventListener("DOMContentLoaded", async () => {
    data = JSON.parse(document.getElementById("explorer-data").textContent);
    try {
      if (!data.module) throw new Error("This copy of the book was built without a compiler for WebAssembly.");
      if (!Machine.supported()) throw new Error("This browser has no vectors of WebAssembly (SIMD).");
      machine = await Machine.load(data.module);
    } catch (error) {
      for (const root of document.querySelectorAll(".explorer")) {
        root.querySelector(".explorer-readout").textContent = `Nothing can be computed here. ${error.message}`;
        for (const control of root.querySelectorAll("input, select")) control.disabled = true;
      }
      return;
    }
    operators = new Operators(machine);
    const bytes = Uint8Array.from(atob(data.distance.values), (letter) => letter.charCodeAt(0));
    data.table = Uint16Array.from({ length: bytes.length / 2 }, (_, i) => bytes[2 * i] + 256 * bytes[2 * i + 1]);
    data.palette = data.colours.map((hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16)).concat(255));
    for (const box of document.querySelectorAll(".explorer input[type=checkbox]")) {
      const style = data.styles[box.name], line = box.parentElement.querySelector("path").style;
      Object.assign(line, { stroke: style.colors, strokeWidth: style.linewidths });
      line.strokeDasharray = DASHES[style.linestyles].join(" ");
    }
    connect(document.getElementById("kernel-explorer"), drawKernel, readKernel);
    connect(document.getElementById("wavefront-explorer"), drawFronts, readFronts);
  });
})();
