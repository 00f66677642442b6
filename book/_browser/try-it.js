"use strict";
// The page `try-it`: a photograph in, its vessels out. The work is done by worker.js; nothing leaves the page.
(() => {
  const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));
  const data = JSON.parse($("try-it-data").textContent);
  /** @type {{picture: ImageData, name: string, probability?: Float32Array} | null} */
  let shown = null;
  const say = (/** @type {string} */ text) => ($("status").textContent = text);
  const worker = new Errands($("try-it-worker").textContent, data.module);

  /**
   * @param {ImageData} picture
   * @param {(answer: any) => void} [watch]
   * @returns {Promise<any>}
   */
  function ask({ data: pixels, width, height }, watch) {
    const name = $("network").value, picture = { data: pixels, width, height };
    return worker.ask({ task: "segment", name, network: data.networks[name], picture }, watch);
  }

  // ---- the picture ---------------------------------------------------------------------------------------------

  /**
   * @param {Blob | string} source
   * @param {string} name
   */
  async function open(source, name) {
    const found = await received(source, name, worker, say);
    if (!found) {
      shown = null;
      $("results").hidden = true;
      return;
    }
    shown = { picture: found.picture, name: name.replace(/\.[^.]*$/, "") };
    const { width, height } = found.picture;
    const reduced = found.reduced ? `, made smaller from ${found.reduced.join(" × ")}` : "";
    await segmentShown(`${name}, ${width} × ${height} pixels${reduced}`);
  }

  async function segmentShown(/** @type {string} */ title) {
    if (!shown) return;
    const mine = shown;
    mine.probability = undefined;
    const { width, height } = mine.picture;
    for (const id of ["photograph-canvas", "probability", "overlay"]) Object.assign($(id), { width, height });
    $("photograph-canvas").getContext("2d").putImageData(mine.picture, 0, 0);
    $("overlay").getContext("2d").putImageData(mine.picture, 0, 0);
    const threshold = data.networks[$("network").value].threshold;
    $("threshold").value = threshold;
    readThreshold();
    Object.assign($("results"), { hidden: false });
    for (const id of ["save-mask", "save-overlay"]) $(id).disabled = true;
    Object.assign($("progress"), { value: 0, hidden: false });
    $("stop").hidden = false;
    say(`${title}. Finding the field of view …`);
    try {
      const answer = await ask(mine.picture, (part) => {
        if (shown !== mine) return;
        if (part.kind === "field") {
          outline(part.field, width, height);
          say(`${title}. The network is at work …`);
        }
        if (part.kind === "progress") $("progress").value = part.share;
        if (part.probability) draw((mine.probability = part.probability));
      });
      if (shown !== mine) return;
      const found = /** @type {Float32Array} */ (answer.probability);
      const share = found.reduce((sum, value) => sum + (value >= threshold ? 1 : 0), 0);
      say(
        `${title}. The PDE-G-CNN of ${data.networks[$("network").value].label} took ${answer.seconds.toFixed(1)} s on one core and saw ` +
          `${answer.columns} × ${answer.rows} pixels; ${((100 * share) / (width * height)).toFixed(1)} % of the picture ` +
          "is vessel. What left this computer: nothing.",
      );
      for (const id of ["save-mask", "save-overlay"]) $(id).disabled = false;
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      if (shown === mine) say(message === "stopped" ? "Stopped." : `It could not be computed: ${message}`);
    } finally {
      if (shown === mine) $("progress").hidden = $("stop").hidden = true;
    }
  }

  // ---- drawing -------------------------------------------------------------------------------------------------

  function outline(/** @type {Uint8Array} */ field, /** @type {number} */ width, /** @type {number} */ height) {
    const context = $("photograph-canvas").getContext("2d");
    const image = context.getImageData(0, 0, width, height), thick = Math.max(1, Math.round(width / 400));
    for (let y = thick; y < height - thick; y++)
      for (let x = thick; x < width - thick; x++) {
        const n = y * width + x;
        const edge = field[n] && !(field[n - thick] && field[n + thick] && field[n - thick * width] && field[n + thick * width]);
        if (edge) image.data.set([...ORANGE, 255], 4 * n);
      }
    context.putImageData(image, 0, 0);
  }

  function draw(/** @type {Float32Array} */ probability) {
    if (!shown) return;
    const { picture } = shown, at = $("threshold").valueAsNumber;
    const grey = new ImageData(picture.width, picture.height);
    const over = new ImageData(new Uint8ClampedArray(picture.data), picture.width, picture.height);
    for (let n = 0; n < probability.length; n++) {
      const value = Math.round(255 * probability[n]);
      grey.data[4 * n] = grey.data[4 * n + 1] = grey.data[4 * n + 2] = value;
      grey.data[4 * n + 3] = 255;
      if (probability[n] >= at) for (let c = 0; c < 3; c++) over.data[4 * n + c] = ORANGE[c];
    }
    $("probability").getContext("2d").putImageData(grey, 0, 0);
    $("overlay").getContext("2d").putImageData(over, 0, 0);
  }

  function readThreshold() {
    const text = $("threshold").valueAsNumber.toFixed(2);
    $("threshold-value").textContent = text;
    $("threshold").setAttribute("aria-valuetext", text);
  }

  function save(/** @type {HTMLCanvasElement} */ canvas, /** @type {string} */ kind) {
    canvas.toBlob((blob) => {
      if (!blob || !shown) return;
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = `${shown.name}_${kind}.png`;
      link.click();
      URL.revokeObjectURL(link.href);
    }, "image/png");
  }

  function mask() {
    const canvas = document.createElement("canvas");
    if (!shown?.probability) return canvas;
    const { width, height } = Object.assign(canvas, { width: shown.picture.width, height: shown.picture.height });
    const image = new ImageData(width, height), at = $("threshold").valueAsNumber;
    shown.probability.forEach((value, n) => {
      const level = value >= at ? 255 : 0;
      image.data.set([level, level, level, 255], 4 * n);
    });
    /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(image, 0, 0);
    return canvas;
  }

  // ---- the page ------------------------------------------------------------------------------------------------

  function connect() {
    const select = $("network");
    for (const [name, { label, parameters, bytes }] of Object.entries(data.networks)) {
      const size = `${parameters.toLocaleString("en").replace(",", " ")} numbers, ${Math.round(bytes / 1024)} kB`;
      select.add(new Option(`${label}: ${size}`, name));
    }
    offerPhotographs($("try-it"), $("photograph"), $("examples"), data.examples, open);
    $("stop").addEventListener("click", () => worker.stop());
    select.addEventListener("change", () => {
      if (!shown) return;
      worker.stop();
      segmentShown(`${shown.name}, ${shown.picture.width} × ${shown.picture.height} pixels`);
    });
    $("threshold").addEventListener("input", () => {
      readThreshold();
      if (shown?.probability) draw(shown.probability);
    });
    $("save-mask").addEventListener("click", () => save(mask(), "mask"));
    $("save-overlay").addEventListener("click", () => save($("overlay"), "overlay"));
  }

  document.addEventListener("DOMContentLoaded", async () => {
    connect();
    if (!(await machineFor(data.module, [$("try-it")], say))) return;
    worker.start();
    window.addEventListener("pagehide", () => worker.stop());
  });

  /** @type {any} */ (window).pdegcnn = {
    // The probabilities of a picture, at its size, by the network that is chosen.
    segment: async (/** @type {ImageData} */ picture) => (await ask(picture)).probability,
  };
})();
