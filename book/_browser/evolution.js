"use strict";
// The page `evolution`: what is drawn evolves by a PDE on the plane and, lifted, on positions and orientations.
(() => {
  const N = 128, OR = 16, WINDOW = [5, 5, 5], PLANE = [1, 5, 5];
  const PACE = 100; // milliseconds of a step, at least: eyes have to follow
  const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
  const data = JSON.parse($("evolution-data").textContent);
  const say = (/** @type {string} */ text) => ($("evolution-status").textContent = text);
  const TERMS = ["convection", "diffusion", "dilation", "erosion"];
  const SLIDERS = ["zeta", "angular", "alpha", "time", "speed"];
  /** @typedef {[number, number]} Point */
  /** @typedef {Features & {spare: number}} Evolving */
  /** @typedef {{k: number, smooth: number, k2: number, smooth2: number, shift: number}} Tables */
  /** @type {Machine} */ let machine;
  /** @type {Operators} */ let operators;
  /** @type {Network} */ let lift;
  /** @type {{plane: Evolving, score: Evolving}} */ let fields;
  /** @type {Tables | null} */ let tables = null;
  /** @type {Point[][]} */ let strokes = []; // by hand, on top of the picture that is chosen
  const image = new Float32Array(N * N), pen = { x: N / 2, y: N / 2, shown: false };
  /** @type {Record<string, number>} */ const at = {}; // what the sliders stand at
  /** @type {Record<string, boolean>} */ const on = {}; // which terms are ticked
  const turned = { yaw: 0.6, pitch: 1.0 };
  let steps = 0, playing = false, rate = 0, last = 0;

  // ---- the equation --------------------------------------------------------------------------------------------

  // The tables of one step on M2, with the metric of the sliders, and on the plane, with the Euclidean one.
  function makeTables() {
    if (tables) machine.give(...Object.values(tables));
    const { zeta, angular, alpha, time, speed } = at;
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
    tables = {
      k: make(WINDOW, OR, w, "Power", morphological),
      smooth: make(WINDOW, OR, w, "Gaussian", heat),
      k2: make(PLANE, 1, flat, "Power", morphological),
      smooth2: make(PLANE, 1, flat, "Gaussian", heat),
      shift: machine.copy(by),
    };
  }

  function advance() {
    const { k, smooth, k2, smooth2, shift } = /** @type {Tables} */ (tables);
    evolve(fields.score, WINDOW, k, smooth, shift);
    evolve(fields.plane, PLANE, k2, smooth2, 0); // which has no directions to convect along
    steps++;
  }

  function evolve(/** @type {Evolving} */ f, /** @type {number[]} */ window, /** @type {number} */ k, /** @type {number} */ smooth, /** @type {number} */ shift) {
    const into = (/** @type {(out: number) => void} */ run) => {
      run(f.spare);
      [f.address, f.spare] = [f.spare, f.address];
    };
    if (on.convection && shift) into((out) => operators.shift(f, shift, out));
    if (on.diffusion) into((out) => operators.convolve("linear", f, smooth, out, 1, window));
    if (on.dilation) into((out) => operators.convolve("tropical", f, k, out, 1, window));
    if (on.erosion) into((out) => operators.convolve("tropical", f, k, out, -1, window));
  }

  const values = (/** @type {Evolving} */ f) => machine.floats(f.address, f.orientations * N * N);

  function reset() {
    steps = rate = 0;
    values(fields.plane).set(image);
    let score = new Float32Array(OR * N * N);
    lift.run(image, N, N, (_, f) => (score = machine.floats(f.address, OR * N * N).slice()));
    const most = Math.max(1e-6, score.reduce((a, b) => Math.max(a, b), 0));
    values(fields.score).set(score.map((value) => Math.max(0, value) / most));
    draw();
  }

  // ---- drawing -------------------------------------------------------------------------------------------------

  const palette = words(data.colours), shades = shaded(data.angles);
  const surface = () => drawCloud($("surface"), values(fields.score), { side: N, orientations: OR, ...turned }, shades);

  function draw() {
    const score = values(fields.score), most = new Float32Array(N * N);
    for (let o = 0; o < OR; o++)
      for (let n = 0, m = o * N * N; n < N * N; n++, m++) if (score[m] > most[n]) most[n] = score[m];
    drawPlane(values(fields.plane));
    paint($("projected"), N, palette, (n) => most[n]);
    paint($("slices"), 4 * N, palette, (n) => {
      const x = n % (4 * N), y = Math.floor(n / (4 * N)), o = 4 * Math.floor(y / N) + Math.floor(x / N);
      return score[(o * N + (y % N)) * N + (x % N)];
    });
    surface();
    say(`${steps} steps, time ${(steps * at.time).toFixed(2)}` + (rate ? `; ${rate.toFixed(0)} steps a second` : ""));
  }

  function drawPlane(/** @type {Float32Array} */ plane) {
    paint($("plane"), N, palette, (n) => plane[n]);
    if (!pen.shown) return;
    const context = /** @type {CanvasRenderingContext2D} */ ($("plane").getContext("2d"));
    context.strokeStyle = `rgb(${ORANGE})`;
    context.strokeRect(pen.x - 2.5, pen.y - 2.5, 6, 6);
  }

  // ---- what is drawn -------------------------------------------------------------------------------------------

  function stroke(/** @type {Point} */ [x0, y0], /** @type {Point} */ [x1, y1]) {
    const length = (x1 - x0) ** 2 + (y1 - y0) ** 2 || 1;
    for (let y = 0; y < N; y++)
      for (let x = 0; x < N; x++) {
        const t = Math.min(1, Math.max(0, ((x - x0) * (x1 - x0) + (y - y0) * (y1 - y0)) / length));
        const far = Math.hypot(x - x0 - t * (x1 - x0), y - y0 - t * (y1 - y0));
        image[y * N + x] = Math.max(image[y * N + x], Math.min(1, Math.max(0, 2.2 - far)));
      }
  }

  function take() {
    image.fill(0);
    const lines = [...data.pictures[$("evolution-picture").value], ...strokes];
    for (const line of lines) line.slice(1).forEach((/** @type {Point} */ to, /** @type {number} */ n) => stroke(line[n], to));
    pause(true);
    reset();
  }

  /** A stroke goes on to a point of the grid. */
  function onward(/** @type {number} */ x, /** @type {number} */ y) {
    const to = /** @type {Point} */ ([x, y].map((v) => Math.min(N - 1, Math.max(0, Math.round(v)))));
    const line = strokes[strokes.length - 1], from = line[line.length - 1];
    if (from && Math.hypot(to[0] - from[0], to[1] - from[1]) < 2) return;
    line.push(to);
    stroke(from || to, to);
    drawPlane(image);
  }

  // ---- the link ------------------------------------------------------------------------------------------------

  function remember() {
    const pairs = [...SLIDERS.map((name) => [name, at[name]]), ["picture", $("evolution-picture").value]];
    pairs.push(...TERMS.map((name) => [name, Number(on[name])]));
    const coded = strokes.map((line) => line.flat().map((v) => v.toString(16).padStart(2, "0")).join(""));
    if (coded.length) pairs.push(["drawn", coded.join(".")]);
    history.replaceState(null, "", `#${pairs.map((pair) => pair.join("=")).join("&")}`);
  }

  // A link with the state sets the controls; what it does not name, or names badly, stays.
  function restore() {
    const said = new URLSearchParams(location.hash.slice(1));
    for (const name of SLIDERS) {
      const value = Number(said.get(name));
      if (said.has(name) && Number.isFinite(value)) $(`evolution-${name}`).value = value;
    }
    for (const name of TERMS) if (said.has(name)) $(`evolution-${name}`).checked = said.get(name) === "1";
    const picture = said.get("picture") || "";
    if (Object.hasOwn(data.pictures, picture)) $("evolution-picture").value = picture;
    strokes = (said.get("drawn") || "").split(".").map((line) => {
      const numbers = (line.match(/../g) || []).map((pair) => parseInt(pair, 16));
      const points = Array.from({ length: numbers.length >> 1 }, (_, n) => /** @type {Point} */ ([numbers[2 * n], numbers[2 * n + 1]]));
      return points.filter(([x, y]) => x < N && y < N);
    });
    strokes = strokes.filter((line) => line.length > 1);
  }

  // ---- the page ------------------------------------------------------------------------------------------------

  function read() {
    for (const name of SLIDERS) {
      const input = $(`evolution-${name}`);
      at[name] = input.valueAsNumber;
      tell(input, at[name].toFixed(2));
    }
    for (const name of TERMS) on[name] = $(`evolution-${name}`).checked;
    makeTables();
  }

  function play(/** @type {number} */ now) {
    if (!playing) return;
    requestAnimationFrame(play);
    if (now - last < PACE) return;
    const seconds = (now - last) / 1000;
    rate = last ? 0.7 * (rate || 1 / seconds) + 0.3 / seconds : 0;
    last = now;
    advance();
    draw();
  }
  function pause(/** @type {boolean} */ stop) {
    playing = !stop;
    rate = last = 0;
    $("evolution-play").textContent = playing ? "Pause" : "Play";
    if (playing) requestAnimationFrame(play);
  }

  function hand() {
    const pad = $("plane");
    let drawing = false;
    const to = (/** @type {PointerEvent} */ { offsetX, offsetY }) =>
      onward((offsetX * N) / pad.clientWidth, (offsetY * N) / pad.clientHeight);
    const begin = () => {
      pause(true);
      drawing = true;
      strokes.push([]);
    };
    const end = () => {
      if (!drawing) return;
      drawing = false;
      if (strokes[strokes.length - 1].length < 2) strokes.pop();
      take();
      remember();
    };
    pad.addEventListener("pointerdown", (/** @type {PointerEvent} */ event) => {
      begin();
      to(event);
      pad.setPointerCapture(event.pointerId);
    });
    pad.addEventListener("pointermove", (/** @type {PointerEvent} */ event) => drawing && to(event));
    for (const kind of ["pointerup", "pointercancel"]) pad.addEventListener(kind, end);
    // Arrow keys move a pen, which draws while Shift is held.
    pad.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const by = { ArrowLeft: [-3, 0], ArrowRight: [3, 0], ArrowUp: [0, -3], ArrowDown: [0, 3] }[event.key];
      if (!by) return;
      event.preventDefault();
      if (event.shiftKey && !drawing) {
        begin();
        onward(pen.x, pen.y);
      }
      [pen.x, pen.y] = [pen.x + by[0], pen.y + by[1]].map((v) => Math.min(N - 2, Math.max(1, v)));
      if (event.shiftKey) onward(pen.x, pen.y);
      drawPlane(drawing ? image : values(fields.plane));
    });
    pad.addEventListener("keyup", (/** @type {KeyboardEvent} */ event) => event.key === "Shift" && end());
    pad.addEventListener("focus", () => {
      pen.shown = pad.matches(":focus-visible"); // a pointer needs no pen
      drawPlane(values(fields.plane));
    });
    pad.addEventListener("blur", () => {
      pen.shown = false;
      end();
      drawPlane(values(fields.plane));
    });
  }

  function turning() {
    const space = $("surface");
    const turn = (/** @type {number} */ dx, /** @type {number} */ dy) => {
      turned.yaw += dx;
      turned.pitch = Math.min(1.57, Math.max(0, turned.pitch + dy));
      surface();
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

  function connect() {
    const root = $("evolution"), picture = $("evolution-picture");
    root.addEventListener("input", (/** @type {Event} */ event) => event.target !== picture && read());
    root.addEventListener("change", (/** @type {Event} */ event) => {
      if (event.target === picture) {
        strokes = [];
        take();
      }
      remember();
    });
    $("evolution-play").addEventListener("click", () => pause(playing));
    $("evolution-step").addEventListener("click", () => {
      pause(true);
      advance();
      draw();
    });
    $("evolution-reset").addEventListener("click", take);
    $("evolution-clear").addEventListener("click", () => {
      picture.value = "empty";
      strokes = [];
      take();
      remember();
    });
    hand();
    turning();
  }

  /** @type {any} */ (window).pdegcnn = {
    // The numbers on the plane and on M2 as they are now.
    evolution: () => ({ plane: [...values(fields.plane)], score: [...values(fields.score)] }),
  };

  document.addEventListener("DOMContentLoaded", async () => {
    const found = await machineFor(data.module, [$("evolution")], say);
    if (!found) return;
    machine = found;
    operators = new Operators(machine);
    lift = new Network(machine, data.lift);
    const field = (/** @type {number} */ orientations) => {
      const count = orientations * N * N;
      return { address: machine.take(count), spare: machine.take(count), channels: 1, orientations, height: N, width: N };
    };
    fields = { plane: field(1), score: field(OR) };
    restore();
    read();
    take();
    connect();
  });
})();
