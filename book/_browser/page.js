"use strict";
// What the pages with photographs share: a worker that is asked for things, and a file as pixels.

const LARGEST_PICTURE = 16e6; // pixels; a larger picture is made smaller first
const ORANGE = [230, 159, 0]; // as in the overlays of `pdegcnn segment`

class Errands {
  /**
   * @param {string} source the text of worker.js and what it needs
   * @param {string} module the module of kernels in base 64
   */
  constructor(source, module) {
    this.source = source;
    this.module = module;
    this.requests = 0;
    /** @type {Worker | null} */
    this.worker = null;
    /** @type {Map<number, {resolve: Function, reject: Function, watch: Function}>} */
    this.waiting = new Map();
  }

  start() {
    const worker = new Worker(URL.createObjectURL(new Blob([this.source], { type: "text/javascript" })));
    worker.onmessage = ({ data: answer }) => {
      const request = this.waiting.get(answer.id);
      if (!request) return;
      request.watch(answer);
      if (answer.kind !== "done" && answer.kind !== "failed") return;
      this.waiting.delete(answer.id);
      if (answer.kind === "done") request.resolve(answer);
      else request.reject(new Error(answer.message));
    };
    worker.onerror = ({ message }) => this.stop(message || "the worker of this page cannot run");
    worker.postMessage({ module: this.module });
    this.worker = worker;
    return worker;
  }

  stop(reason = "stopped") {
    this.worker?.terminate();
    this.worker = null;
    for (const { reject } of this.waiting.values()) reject(new Error(reason));
    this.waiting.clear();
  }

  /**
   * @param {any} request with the name of its task
   * @param {(answer: any) => void} [watch] told what comes before the last answer, too
   * @returns {Promise<any>}
   */
  ask(request, watch = () => {}) {
    const worker = this.worker || this.start(), id = ++this.requests;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject, watch });
      worker.postMessage({ ...request, id });
    });
  }
}

/**
 * The machine of a page. Without one the page says why, and shows the pictures of a finished run in its place.
 * @param {string} module the module of kernels in base 64
 * @param {Iterable<Element>} roots what holds the controls
 * @param {(message: string) => void} say
 * @returns {Promise<Machine | null>}
 */
async function machineFor(module, roots, say) {
  let reason = "";
  if (!module) reason = "This copy of the book was built without a compiler for WebAssembly.";
  else if (!Machine.supported()) reason = "This browser has no vectors of WebAssembly (SIMD).";
  else
    try {
      return await Machine.load(module);
    } catch (error) {
      reason = `The module of kernels is damaged (${/** @type {Error} */ (error).message}).`;
    }
  say(`Nothing can be computed here. ${reason} Below is a finished run.`);
  for (const root of roots) {
    for (const control of root.querySelectorAll("input, select, button"))
      /** @type {HTMLInputElement} */ (control).disabled = true;
  }
  for (const figure of document.querySelectorAll(".finished")) /** @type {HTMLElement} */ (figure).hidden = false;
  return null;
}

/**
 * Writes what a slider stands at beside it, and for who cannot see it.
 * @param {HTMLInputElement} input
 * @param {string} text
 */
function tell(input, text) {
  const beside = input.parentElement?.querySelector(".explorer-value");
  if (beside) beside.textContent = text;
  input.setAttribute("aria-valuetext", text);
}

/**
 * A file as pixels on black, turned as its camera says; null where it is no picture.
 * @param {Blob | string} source
 * @returns {Promise<{picture: ImageData, reduced: number[] | null} | null>} and the size that was too large
 */
async function decoded(source) {
  const image = new Image();
  image.src = typeof source === "string" ? source : URL.createObjectURL(source);
  try {
    await new Promise((resolve, reject) => ([image.onload, image.onerror] = [resolve, reject]));
  } catch {
    return null;
  } finally {
    if (typeof source !== "string") URL.revokeObjectURL(image.src);
  }
  const { naturalWidth, naturalHeight } = image;
  if (!naturalWidth || !naturalHeight) return null;
  const pixels = naturalWidth * naturalHeight, side = Math.max(naturalWidth, naturalHeight);
  const scale = Math.min(1, Math.sqrt(LARGEST_PICTURE / pixels), 16384 / side);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(naturalHeight * scale));
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const picture = context.getImageData(0, 0, canvas.width, canvas.height);
  return { picture, reduced: scale < 1 ? [naturalWidth, naturalHeight] : null };
}

/**
 * What a reader opens, as `decoded` gives it, in the place of what the worker was asked for; null, and said, where it
 * is no picture.
 * @param {Blob | string} source
 * @param {string} name
 * @param {Errands} worker
 * @param {(message: string) => void} say
 */
async function received(source, name, worker, say) {
  worker.stop();
  say("Reading the picture …");
  const found = await decoded(source).catch(() => null);
  if (!found) say(`${name} is not a picture that this browser can read: JPEG, PNG, WebP and GIF are.`);
  return found;
}

/**
 * Buttons for the photographs that a page carries, a field for a file, and dropping one on the page.
 * @param {HTMLElement} zone
 * @param {HTMLInputElement} field
 * @param {HTMLElement} buttons
 * @param {{label: string, picture: string}[]} examples
 * @param {(source: Blob | string, name: string) => void} open
 */
function offerPhotographs(zone, field, buttons, examples, open) {
  for (const { label, picture } of examples) {
    const button = Object.assign(document.createElement("button"), { type: "button" });
    button.append(Object.assign(new Image(), { src: picture, alt: "retina," }), label);
    button.addEventListener("click", () => open(picture, label));
    buttons.append(button);
  }
  field.addEventListener("change", () => {
    const file = field.files?.[0];
    if (file) open(file, file.name);
  });
  zone.addEventListener("dragover", (event) => event.preventDefault());
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    const file = event.dataTransfer?.files[0];
    if (file) open(file, file.name);
  });
}
