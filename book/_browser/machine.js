"use strict";
// The third machine of kernels_cu/: a WebAssembly module, its memory, and launches of its kernels.
// An address is a number of bytes, an array a block of 32-bit numbers; whoever takes memory gives it back.

class Machine {
  /** @param {WebAssembly.Instance} instance */
  constructor(instance) {
    this.exports = /** @type {any} */ (instance.exports);
    this.exports._initialize();
    this.words = this.take(64); // the arguments of a launch
    this.sharedBytes = 0;
    this.shared = 0;
  }

  /**
   * Whether this browser has vectors of 128 bits: the smallest module with one.
   * @returns {boolean}
   */
  static supported() {
    if (typeof WebAssembly !== "object") return false;
    const vector = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15,
      253, 98, 11];
    return WebAssembly.validate(new Uint8Array(vector));
  }

  /**
   * @param {string} module in base 64
   * @returns {Promise<Machine>}
   */
  static async load(module) {
    const { instance } = await WebAssembly.instantiate(Machine.bytes(module), {});
    return new Machine(instance);
  }

  /** @param {string} text in base 64 */
  static bytes(text) {
    return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  }

  /** @param {string} text numbers of 32 bits in base 64 */
  static numbers(text) {
    return new Float32Array(Machine.bytes(text).buffer);
  }

  /**
   * Memory for so many numbers.
   * @param {number} count
   * @returns {number}
   */
  take(count) {
    // A vector may be read beyond the end of a row, never beyond this.
    const address = this.exports.malloc(4 * count + 64);
    if (!address) throw new RangeError(`no memory for ${count} numbers`);
    return address;
  }

  /** @param {number[]} addresses */
  give(...addresses) {
    for (const address of addresses) this.exports.free(address);
  }

  /**
   * The numbers at an address, as they lie: valid until memory is taken.
   * @param {number} address
   * @param {number} count
   */
  floats(address, count) {
    return new Float32Array(this.exports.memory.buffer, address, count);
  }

  /**
   * A copy of an array in the memory of the machine.
   * @param {Float32Array | Int32Array} array
   */
  copy(array) {
    const address = this.take(array.length);
    const View = /** @type {any} */ (array).constructor;
    new View(this.exports.memory.buffer, address, array.length).set(array);
    return address;
  }

  /**
   * Runs a kernel over its blocks.
   * @param {string} kernel unit_kernel
   * @param {number} blocks
   * @param {number[]} args addresses and integers
   * @param {number} [sharedBytes]
   */
  launch(kernel, blocks, args, sharedBytes = 0) {
    if (sharedBytes > this.sharedBytes) {
      if (this.shared) this.give(this.shared);
      this.shared = this.take(Math.ceil(sharedBytes / 4));
      this.sharedBytes = sharedBytes;
    }
    new Int32Array(this.exports.memory.buffer, this.words, args.length).set(args);
    this.exports[kernel](blocks, this.shared, this.words);
  }
}

if (typeof module !== "undefined") module.exports = { Machine };
