"use strict";
// The page `evolution`: what is drawn evolves by a PDE on the plane and, lifted, on positions and orientations.
(() => {
  const N = 128, OR = 16, WINDOW = [5, 5, 5], PLANE = [1, 5, 5];
  const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
  const data = JSON.parse($("evolution-data").textContent);
  const TERMS = ["convection", "diffusion", "dilation", "erosion"];
  const SLIDERS = ["zeta", "angular", "alpha", "time", "speed"];
  /** @type {Machine} */ let machine;
  /** @type {Operators} */ let operators;
  /** @type {Network} */ let lift;
  const image = new Float32Array(N * N);
  /** @type {any} */ const state = {};
  /** @type {any} */ let fields, tables;
  let steps = 0, playing = false, yaw = 0.6, pitch = 1.0, rate = 0;

  // ---- the equation --------------------------------------------------------------------------------------------

  // The tables of one step on M2, with the metric of the sliders, and on the plane, with the Euclidean one.
  function makeTables() {
    if (tables) machine.give(...tables.owned);
    const { zeta, angular, alpha, time, speed } = state;
    const make = (/** @type {number[]} */ window, /** @type {number} */ orientations, /** @type {number[]} */ w, /** @type {string} */ law, /** @type {number[]} */ constants) => {
      const b = operators.coordinates(window, orientations, "rho_b_com");
      const count = window[0] * window[1] * window[2];
      const k = operators.table(b, Float32Array.from(w), orientations, count, "rho_b_com", law, constants);
      machine.give(b);
      return k;
    };
    const by = new Float32Array(3 * OR);
    for (let o = 0; o < OR; o++) {
      const angle = (2 * Math.PI * o) / OR;
      by.set([speed * time * Math.cos(angle), speed * time * Math.sin(angle), 0], 3 * o);
    }
    const w = [1, zeta, angular], flat = [1, 1, 1];
    const morphological = powerLaw(alpha, time), heat = [1 / (4 * 0.3 * time)];
    const [k, smooth] = [make(WINDOW, OR, w, "Power", morphological), make(WINDOW, OR, w, "Gaussian", heat)];
    const [k2, smooth2] = [make(PLANE, 1, flat, "Power", morphological), make(PLANE, 1, flat, "Gaussian", heat)];
    const shift = machine.copy(by);
    tables = { k, smooth, k2, smooth2, shift, owned: [k, smooth, k2, smooth2, shift] };
  }

  function advance() {
    for (const [f, window, k, smooth] of [
      [fields.score, WINDOW, tables.k, tables.smooth],
      [fields.plane, PLANE, tables.k2, tables.smooth2],
    ]) {
      const into = (/** @type {(out: number) => void} */ run) => {
        run(f.spare);
        [f.address, f.spare] = [f.spare, f.address];
      };
      // The plane has no directions to convect along.
      if (state.convection && f.orientations > 1) into((out) => operators.shift(f, tables.shift, out));
      if (state.diffusion) into((out) => operators.convolve("linear", f, smooth, out, 1, window));
      if (state.dilation) into((out) => operators.convolve("tropical", f, k, out, 1, window));
      if (state.erosion) into((out) => operators.convolve("tropical", f, k, out, -1, window));
    }
    steps++;
  }

  function reset() {
    steps = 0;
    machine.floats(fields.plane.address, N * N).set(image);
    let score = new Float32Array(OR * N * N);
    lift.run(image, N, N, (_, f) => (score = machine.floats(f.address, OR * N * N).slice()));
    const most = Math.max(1e-6, score.reduce((a, b) => Math.max(a, b), 0));
    machine.floats(fields.score.address, score.length).set(score.map((value) => Math.max(0, value) / most));
    draw();
  }

  // ---- drawing -------------------------------------------------------------------------------------------------

  function paint(/** @type {HTMLCanvasElement} */ canvas, /** @type {number} */ width, /** @type {number} */ height, /** @type {(n: number) => number} */ value) {
    Object.assign(canvas, { width, height });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const pixels = context.createImageData(width, height);
    for (let n = 0; n < width * height; n++) {
      const colour = data.colours[Math.round(255 * Math.min(Math.max(value(n), 0), 1))];
      pixels.data.set(colour, 4 * n);
    }
    context.putImageData(pixels, 0, 0);
  }

  function draw() {
    const score = machine.floats(fields.score.address, OR * N * N), plane = machine.floats(fields.plane.address, N * N);
    const most = new Float32Array(N * N);
    for (let n = 0; n < score.length; n++) if (score[n] > most[n % (N * N)]) most[n % (N * N)] = score[n];
    paint($("plane"), N, N, (n) => plane[n]);
    paint($("projected"), N, N, (n) => most[n]);
    const side = 4 * N;
    paint($("slices"), side, side, (n) => {
      const x = n % side, y = Math.floor(n / side), o = 4 * Math.floor(y / N) + Math.floor(x / N);
      return score[(o * N + (y % N)) * N + (x % N)];
    });
    surface(score);
    $("evolution-status").textContent =
      `${steps} steps, time ${(steps * state.time).toFixed(2)}` + (rate ? `; ${rate.toFixed(0)} steps a second` : "");
  }

  // The points where the score is high, as seen from the side; the nearest hides what is behind it.
  function surface(/** @type {Float32Array} */ score) {
    const size = 360, canvas = $("surface"), depth = new Float32Array(size * size).fill(-1e9);
    Object.assign(canvas, { width: size, height: size });
    const context = canvas.getContext("2d"), pixels = context.createImageData(size, size);
    const [c, s, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    for (let n = 0; n < score.length; n++) {
      if (score[n] < 0.35) continue;
      const x = (n % N) - N / 2, y = (Math.floor(n / N) % N) - N / 2, z = (Math.floor(n / (N * N)) - OR / 2) * 8;
      const across = c * x - s * y, along = s * x + c * y;
      const px = Math.round(size / 2 + 1.6 * across), py = Math.round(size / 2 + 1.6 * (cp * along - sp * z));
      const near = sp * along + cp * z, colour = data.angles[Math.floor(n / (N * N))];
      const light = 0.6 + 0.4 * Math.min(1, Math.max(0, near / 128 + 0.5));
      for (let dy = -1; dy <= 1; dy++)
        for (let dx = -1; dx <= 1; dx++) {
          const at = (py + dy) * size + px + dx;
          if (px < 1 || py < 1 || px >= size - 1 || py >= size - 1 || near <= depth[at]) continue;
          depth[at] = near;
          pixels.data.set([light * colour[0], light * colour[1], light * colour[2], 255], 4 * at);
        }
    }
    context.putImageData(pixels, 0, 0);
  }

  // ---- what is drawn -------------------------------------------------------------------------------------------

  function stroke(/** @type {number} */ x0, /** @type {number} */ y0, /** @type {number} */ x1, /** @type {number} */ y1) {
    for (let y = 0; y < N; y++)
      for (let x = 0; x < N; x++) {
        const length = (x1 - x0) ** 2 + (y1 - y0) ** 2 || 1;
        const t = Math.min(1, Math.max(0, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length));
        const far = Math.hypot(x - x0 - t * (x1 - x0), y - y0 - t * (y1 - y0));
        image[y * N + x] = Math.max(image[y * N + x], Math.min(1, Math.max(0, 2.2 - far)));
      }
  }
  /** @type {Record<string, () => void>} */
  const PICTURES = {
    crossing() {
      for (const [a, b] of [[14, 54], [66, 78], [90, 114]]) {
        stroke(a, 30 + a * 0.4, b, 30 + b * 0.4);
        stroke(a, 110 - a * 0.7, b, 110 - b * 0.7);
      }
    },
    circle() {
      for (let n = 0; n < 40; n++) {
        if (n % 8 > 5) continue;
        const at = (/** @type {number} */ m) => [64 + 40 * Math.cos(m * 0.157), 64 + 40 * Math.sin(m * 0.157)];
        stroke(...at(n), ...at(n + 1));
      }
    },
    empty() {},
  };

  // ---- the page ------------------------------------------------------------------------------------------------

  function read() {
    for (const name of SLIDERS) {
      const input = $(`evolution-${name}`);
      state[name] = input.valueAsNumber;
      const text = state[name].toFixed(2);
      input.parentElement.querySelector(".explorer-value").textContent = text;
      input.setAttribute("aria-valuetext", text);
    }
    for (const name of TERMS) state[name] = $(`evolution-${name}`).checked;
    makeTables();
    const words = [...SLIDERS, "picture", ...TERMS].map((name) => `${name}=${Number(state[name]) || state[name] || 0}`);
    history.replaceState(null, "", `#${words.join("&")}`);
  }

  // A link with the state sets the controls; what it does not name, or names badly, stays.
  function restore() {
    const words = new URLSearchParams(location.hash.slice(1));
    for (const name of SLIDERS) {
      const value = Number(words.get(name));
      if (words.has(name) && Number.isFinite(value)) $(`evolution-${name}`).value = value;
    }
    for (const name of TERMS) if (words.has(name)) $(`evolution-${name}`).checked = words.get(name) === "1";
    const picture = words.get("picture") || "";
    state.picture = Object.hasOwn(PICTURES, picture) ? picture : "crossing";
    $("evolution-picture").value = state.picture;
  }

  function take() {
    state.picture = $("evolution-picture").value;
    image.fill(0);
    PICTURES[state.picture]();
    read();
    reset();
  }

  function play() {
    if (!playing) return;
    const started = performance.now();
    advance();
    draw();
    rate = 0.8 * rate + 0.2 * (1000 / (performance.now() - started)) || 1000 / (performance.now() - started);
    requestAnimationFrame(play);
  }
  function pause(/** @type {boolean} */ stop) {
    playing = !stop;
    rate = 0;
    $("evolution-play").textContent = playing ? "Pause" : "Play";
    if (playing) play();
  }

  function pointers() {
    const pad = $("plane");
    /** @type {number[] | null} */ let last = null;
    const place = (/** @type {PointerEvent} */ event) => [event.offsetX, event.offsetY].map((v) => (v * N) / pad.clientWidth);
    pad.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      pause(true);
      last = place(event);
      pad.setPointerCapture(event.pointerId);
    });
    pad.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      if (!last) return;
      const next = place(event);
      stroke(last[0], last[1], next[0], next[1]);
      last = next;
      paint(pad, N, N, (n) => image[n]);
    });
    pad.addEventListener("pointerup", () => {
      if (last) reset();
      last = null;
    });
    const space = $("surface");
    const turn = (/** @type {number} */ dx, /** @type {number} */ dy) => {
      yaw += dx;
      pitch = Math.min(1.57, Math.max(0, pitch + dy));
      surface(machine.floats(fields.score.address, OR * N * N));
    };
    space.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => space.setPointerCapture(event.pointerId));
    space.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => {
      if (event.buttons) turn(event.movementX / 100, event.movementY / 100);
    });
    space.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const by = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] }[event.key];
      if (!by) return;
      event.preventDefault();
      turn(by[0], by[1]);
    });
  }

  /** @type {any} */ (window).pdegcnn = {
    // The numbers on the plane and on M2 as they are now.
    evolution: () => ({
      plane: [...machine.floats(fields.plane.address, N * N)],
      score: [...machine.floats(fields.score.address, OR * N * N)],
    }),
  };

  document.addEventListener("DOMContentLoaded", async () => {
    const root = $("evolution"), status = $("evolution-status");
    try {
      if (!data.module) throw new Error("This copy of the book was built without a compiler for WebAssembly.");
      if (!Machine.supported()) throw new Error("This browser has no vectors of WebAssembly (SIMD).");
      machine = await Machine.load(data.module);
    } catch (error) {
      status.textContent = `Nothing can be computed here. ${/** @type {Error} */ (error).message}`;
      for (const control of root.querySelectorAll("input, select, button")) control.disabled = true;
      return;
    }
    operators = new Operators(machine);
    lift = new Network(machine, data.lift);
    const field = (/** @type {number} */ orientations) => {
      const count = orientations * N * N;
      return { address: machine.take(count), spare: machine.take(count), channels: 1, orientations, height: N, width: N };
    };
    fields = { plane: field(1), score: field(OR) };
    restore();
    take();
    pointers();
    root.addEventListener("input", (/** @type {Event} */ event) => {
      if (event.target !== $("evolution-picture")) read();
    });
    $("evolution-picture").addEventListener("change", take);
    $("evolution-play").addEventListener("click", () => pause(playing));
    $("evolution-step").addEventListener("click", () => {
      pause(true);
      advance();
      draw();
    });
    $("evolution-reset").addEventListener("click", () => {
      pause(true);
      reset();
    });
  });
})();
