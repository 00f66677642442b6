"use strict";
// The page `inside`: a square of a photograph after every step of a network, and what the step does to a channel.
(() => {
  const SIDE = 256; // pixels of the square, as the network sees them
  const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(`inside-${id}`));
  const data = JSON.parse($("data").textContent);
  const { network } = data, { orientations } = network;
  const say = (/** @type {string} */ text) => ($("status").textContent = text);
  const worker = new Errands($("worker").textContent, data.module);
  /** @type {Machine | null} */ let machine = null;
  /** @type {{picture: ImageData, name: string, sent: boolean} | null} */ let shown = null;
  /** @type {{rows: number, columns: number, y: number[], x: number[]}} */ let square;
  /** @type {{channels: number, orientations: number, largest: Float32Array, where: Uint8Array}[]} */
  let found = [];
  let centre = [0.5, 0.5];
  const state = { step: 0, channel: 0 };

  // ---- the steps by name ---------------------------------------------------------------------------------------

  /** @type {Record<string, string>} */
  const WORDS = { shift: "convection", dilation: "dilation", erosion: "erosion", projection: "largest over angles" };
  /** @type {{layer: string, name: string}[]} */
  const names = [];
  for (const step of network.steps) {
    const last = names.length ? names[names.length - 1] : null;
    const begun = last && last.layer.startsWith("layer") && last.name !== "mixing";
    const count = new Set(names.map(({ layer }) => layer).filter((layer) => layer.startsWith("layer"))).size;
    if (step.size > 1) names.push({ layer: "lift", name: "lift" });
    else if (step.step === "projection") names.push({ layer: "output", name: WORDS.projection });
    else if (step.outputs === 1) names.push({ layer: "output", name: "sum" });
    else {
      const layer = begun ? last.layer : `layer ${count + 1}`;
      names.push({ layer, name: step.step === "combination" ? "mixing" : WORDS[step.step] });
    }
  }

  // ---- drawing -------------------------------------------------------------------------------------------------

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {number} width
   * @param {number} height
   * @param {(n: number) => number[]} colour
   */
  function paint(canvas, width, height, colour) {
    Object.assign(canvas, { width, height });
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const pixels = context.createImageData(width, height);
    for (let n = 0; n < width * height; n++) pixels.data.set(colour(n), 4 * n);
    context.putImageData(pixels, 0, 0);
  }

  const size = () => ({ height: square.y[1] - square.y[0], width: square.x[1] - square.x[0] });

  /** The values of a channel after a step, and those that are drawn darkest and brightest: one in 200 lies beyond. */
  function channelOf(/** @type {number} */ step, /** @type {number} */ channel) {
    const { height, width } = size(), { largest, where } = found[step], area = height * width;
    const values = largest.subarray(channel * area, (channel + 1) * area);
    const sorted = values.filter((_, n) => n % 7 === 0).sort();
    const at = (/** @type {number} */ part) => sorted[Math.round(part * (sorted.length - 1))];
    return { values, where: where.subarray(channel * area, (channel + 1) * area), low: at(0.005), high: at(0.995) };
  }

  function drawChannel(/** @type {HTMLCanvasElement} */ canvas, /** @type {number} */ channel, every = 1) {
    const { values, where, low, high } = channelOf(state.step, channel), { height, width } = size();
    const byAngle = $("angles").checked && found[state.step].orientations > 1;
    const columns = Math.ceil(width / every);
    paint(canvas, columns, Math.ceil(height / every), (n) => {
      const at = Math.floor(n / columns) * every * width + (n % columns) * every;
      const level = Math.min(1, Math.max(0, (values[at] - low) / (high - low || 1)));
      if (!byAngle) return data.colours[Math.round(255 * level)];
      const [r, g, b] = data.angles[where[at] % data.angles.length];
      return [level * r, level * g, level * b, 255];
    });
  }

  function drawPhotograph() {
    if (!shown) return;
    const canvas = $("photograph-canvas"), { picture } = shown, { width, height } = picture;
    Object.assign(canvas, { width, height });
    const context = canvas.getContext("2d");
    context.putImageData(picture, 0, 0);
    if (!square) return;
    const across = width / square.columns, down = height / square.rows, box = size();
    const frame = [square.x[0] * across, square.y[0] * down, box.width * across, box.height * down];
    for (const [colour, thick] of [["#000", width / 90], ["#fff", width / 180]]) {
      context.strokeStyle = colour;
      context.lineWidth = thick;
      context.strokeRect(...frame);
    }
  }

  function drawStep() {
    if (!machine) return;
    const text = drawn($("kernel"), machine, network, state.step, state.channel, data);
    $("kernel-caption").textContent = text;
    $("kernel").setAttribute("aria-label", text);
  }

  function draw() {
    const step = found[state.step], { layer, name } = names[state.step];
    const channels = network.steps.slice(0, state.step + 1).reduce(
      (/** @type {number} */ n, /** @type {any} */ s) => (s.outputs ? s.outputs / (s.size > 1 ? orientations : 1) : n), 1);
    state.channel = Math.min(state.channel, channels - 1);
    document.querySelectorAll("#inside-channels label").forEach((label, c) => {
      /** @type {HTMLElement} */ (label).hidden = c >= channels;
      if (step && c < channels) drawChannel(/** @type {HTMLCanvasElement} */ (label.querySelector("canvas")), c, 3);
    });
    $("channels").querySelectorAll("input")[state.channel].checked = true;
    $("path").querySelectorAll("input")[state.step].checked = true;
    drawStep();
    if (!step) return;
    drawChannel($("feature"), state.channel);
    const where = layer === name ? layer : `${layer}, after ${name}`;
    $("feature-caption").textContent = `Channel ${state.channel + 1} of ${channels}: ${where}`;
    $("feature").setAttribute("aria-label", `The photograph in channel ${state.channel + 1}: ${where}`);
  }

  // ---- the network at work -------------------------------------------------------------------------------------

  async function observe() {
    if (!shown) return;
    const mine = shown, { data: pixels, width, height } = mine.picture;
    if (worker.waiting.size) {
      worker.stop();
      mine.sent = false;
    }
    const picture = mine.sent ? undefined : { data: pixels, width, height };
    mine.sent = true;
    found = [];
    Object.assign($("progress"), { value: 0, hidden: false });
    $("stop").hidden = false;
    say(`${mine.name}. The network is at work …`);
    const started = performance.now();
    let current = true;
    try {
      const request = { task: "observe", name: "inside", network, picture, centre, side: SIDE };
      await worker.ask(request, (part) => {
        if (part.kind === "window") {
          square = part;
          drawPhotograph();
          $("results").hidden = false;
        }
        if (part.kind !== "step") return;
        found[part.step] = part;
        $("progress").value = (part.step + 1) / network.steps.length;
        if (part.step === state.step) draw();
      });
      const { height: rows, width: columns } = size();
      say(`${mine.name}. ${network.steps.length} steps on ${columns} × ${rows} pixels took ` +
        `${((performance.now() - started) / 1000).toFixed(1)} s on one core. What left this computer: nothing.`);
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      current = shown === mine && !worker.waiting.size; // otherwise another request has taken over
      mine.sent = false;
      if (current) say(message === "stopped" ? "Stopped." : `It could not be computed: ${message}`);
    } finally {
      if (current) $("progress").hidden = $("stop").hidden = true;
    }
  }

  /**
   * @param {Blob | string} source
   * @param {string} name
   */
  async function open(source, name) {
    const read = await received(source, name, worker, say);
    if (!read) {
      shown = null;
      $("results").hidden = true;
      return;
    }
    shown = { picture: read.picture, name, sent: false };
    centre = [0.5, 0.5];
    await observe();
  }

  // ---- the page ------------------------------------------------------------------------------------------------

  function radio(/** @type {string} */ group, /** @type {string} */ text, /** @type {() => void} */ chosen) {
    const label = document.createElement("label"), input = document.createElement("input");
    Object.assign(input, { type: "radio", name: `inside-${group}` });
    input.addEventListener("change", chosen);
    label.append(input, text);
    return label;
  }

  function connect() {
    /** @type {HTMLElement | null} */ let group = null;
    names.forEach(({ layer, name }, step) => {
      if (!step || layer !== names[step - 1].layer) {
        group = Object.assign(document.createElement("div"), { className: "machine-layer" });
        group.append(Object.assign(document.createElement("span"), { textContent: layer }));
        $("path").append(group);
      }
      const label = radio("step", name, () => {
        state.step = step;
        draw();
      });
      label.querySelector("input")?.setAttribute("aria-label", layer === name ? layer : `${layer}, ${name}`);
      group?.append(label);
    });
    const most = Math.max(...network.steps.map((/** @type {any} */ s) => (s.size > 1 ? s.outputs / orientations : s.outputs || 0)));
    for (let channel = 0; channel < most; channel++) {
      const choose = () => {
        state.channel = channel;
        draw();
      };
      const label = radio("channel", String(channel + 1), choose);
      label.append(Object.assign(document.createElement("canvas"), { width: 1, height: 1 }));
      label.addEventListener("pointerenter", choose);
      $("channels").append(label);
    }
    offerPhotographs($("page"), $("photograph"), $("examples"), data.examples, open);
    $("angles").addEventListener("change", draw);
    $("stop").addEventListener("click", () => worker.stop());
    const move = (/** @type {number} */ y, /** @type {number} */ x) => {
      centre = [y, x].map((value) => Math.min(1, Math.max(0, value)));
      observe();
    };
    const canvas = $("photograph-canvas");
    canvas.addEventListener("click", (/** @type {MouseEvent} */ event) =>
      move(event.offsetY / canvas.clientHeight, event.offsetX / canvas.clientWidth));
    canvas.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      const by = { ArrowUp: [-0.1, 0], ArrowDown: [0.1, 0], ArrowLeft: [0, -0.1], ArrowRight: [0, 0.1] }[event.key];
      if (!by) return;
      event.preventDefault();
      move(centre[0] + by[0], centre[1] + by[1]);
    });
    const feature = $("feature"), read = (/** @type {PointerEvent} */ event) => {
      if (!found[state.step]) return;
      const { height, width } = size(), { values, where } = channelOf(state.step, state.channel);
      const x = Math.min(width - 1, Math.max(0, Math.floor((event.offsetX * width) / feature.clientWidth)));
      const y = Math.min(height - 1, Math.max(0, Math.floor((event.offsetY * height) / feature.clientHeight)));
      const n = y * width + x, angle = (where[n] * 360) / orientations;
      const at = found[state.step].orientations > 1 ? ` at ${angle} degrees` : "";
      $("readout").textContent = `x = ${square.x[0] + x}, y = ${square.y[0] + y}: ${values[n].toFixed(3)}${at}`;
    };
    for (const kind of ["pointermove", "pointerdown"]) feature.addEventListener(kind, read);
    let wide = 0;
    new ResizeObserver(() => {
      if ($("kernel").clientWidth !== wide && (wide = $("kernel").clientWidth)) drawStep();
    }).observe($("kernel"));
  }

  document.addEventListener("DOMContentLoaded", async () => {
    machine = await machineFor(data.module, [$("page")], say);
    if (!machine) return;
    connect();
    window.addEventListener("pagehide", () => worker.stop());
    const [first] = data.examples;
    centre = data.centre;
    const read = await decoded(first.picture);
    if (!read || shown) return;
    shown = { picture: read.picture, name: first.label, sent: false };
    await observe();
  });

  /** @type {any} */ (window).pdegcnn = {
    // What a step left in a channel, and where in the picture that the network sees.
    inside: (/** @type {number} */ step, /** @type {number} */ channel) => {
      const { values, where } = channelOf(step, channel);
      return { ...square, values: [...values], where: [...where] };
    },
  };
})();
