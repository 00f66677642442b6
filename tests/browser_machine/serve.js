"use strict";
// A launch for each line of the input: its arrays come in base 64, and go back as the kernel left them.
const fs = require("fs");
const readline = require("readline");
const [, , script, path] = process.argv;
const { Machine } = require(script);

async function main() {
  const machine = await Machine.load(fs.readFileSync(path).toString("base64"));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { kernel, blocks, shared, args } = JSON.parse(line);
    const memory = () => Buffer.from(machine.exports.memory.buffer);
    const arrays = [];
    const words = args.map((arg) => {
      if (typeof arg === "number") return arg;
      if (arg === null) return 0;
      const bytes = Buffer.from(arg, "base64");
      const address = machine.take(Math.ceil(bytes.length / 4));
      bytes.copy(memory(), address);
      arrays.push([address, bytes.length]);
      return address;
    });
    machine.launch(kernel, blocks, words, shared);
    const back = arrays.map(([address, length]) => memory().subarray(address, address + length).toString("base64"));
    machine.give(...arrays.map(([address]) => address));
    process.stdout.write(JSON.stringify(back) + "\n");
  }
}
main();
