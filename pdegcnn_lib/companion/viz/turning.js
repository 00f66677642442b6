// A surface in space that the reader turns, with the mouse, a finger or the arrow keys. `element` holds a canvas and,
// where there is more than one surface, a choice of them; `meshes` are made by viz/turning.py.
(element, meshes, palette) => {
  "use strict";
  const canvas = element.querySelector("canvas"), choice = element.querySelector("select");
  const context = canvas.getContext("2d");
  const LIGHT = [-0.45, 0.6, 0.65].map((x) => x / Math.hypot(0.45, 0.6, 0.65)); // in the reader's space: x right, z up
  let azimuth = -0.96, elevation = 0.42, mesh;

  const bytes = (/** @type {string} */ text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer;

  function take(/** @type {string} */ name) {
    const { points, faces, values } = meshes[name];
    mesh = { points: new Uint16Array(bytes(points)), faces: new Uint16Array(bytes(faces)), values: new Uint8Array(bytes(values)) };
    draw();
  }

  // Where the reader sees a point of the cube [-1, 1]^3: right, up, and toward them.
  function seen(/** @type {number[]} */ [x, y, z]) {
    const ca = Math.cos(azimuth), sa = Math.sin(azimuth), ce = Math.cos(elevation), se = Math.sin(elevation);
    const out = ca * x + sa * y;
    return [ca * y - sa * x, ce * z - se * out, se * z + ce * out];
  }

  function draw() {
    const { width, height } = canvas, scale = 0.4 * Math.min(width, height);
    const at = (/** @type {number[]} */ [right, up]) => [width / 2 + scale * right, height / 2 - scale * up];
    const points = [];
    for (let i = 0; i < mesh.points.length; i += 3) {
      points.push(seen([0, 1, 2].map((k) => mesh.points[i + k] / 32767.5 - 1)));
    }
    const triangles = [];
    for (let i = 0; i < mesh.faces.length; i += 3) {
      const corners = [mesh.faces[i], mesh.faces[i + 1], mesh.faces[i + 2]], [a, b, c] = corners.map((k) => points[k]);
      const u = b.map((x, k) => x - a[k]), v = c.map((x, k) => x - a[k]);
      const normal = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      const light = Math.abs(normal[0] * LIGHT[0] + normal[1] * LIGHT[1] + normal[2] * LIGHT[2]) / (Math.hypot(...normal) || 1);
      const value = (mesh.values[corners[0]] + mesh.values[corners[1]] + mesh.values[corners[2]]) / 3;
      triangles.push({ a, b, c, light, value, depth: a[2] + b[2] + c[2] });
    }
    triangles.sort((s, t) => s.depth - t.depth);
    context.clearRect(0, 0, width, height);
    for (const { a, b, c, light, value } of triangles) {
      const rgb = palette[Math.min(palette.length - 1, Math.floor((value / 256) * palette.length))];
      context.fillStyle = context.strokeStyle = `rgb(${rgb.map((x) => Math.round(x * (0.55 + 0.45 * light))).join(",")})`;
      context.beginPath();
      for (const p of [a, b, c]) context.lineTo(...at(p));
      context.closePath();
      context.fill();
      context.stroke();
    }
    const tip = seen([0, 0, 1.15]), foot = seen([0, 0, 0]);
    context.strokeStyle = context.fillStyle = getComputedStyle(element).color;
    context.lineWidth = 2;
    context.beginPath();
    context.moveTo(...at(foot));
    context.lineTo(...at(tip));
    context.stroke();
    context.beginPath();
    context.arc(...at(tip), 4, 0, 2 * Math.PI);
    context.fill();
    context.lineWidth = 1;
  }

  function turn(/** @type {number} */ right, /** @type {number} */ up) {
    azimuth -= right;
    elevation = Math.max(-Math.PI / 2, Math.min(Math.PI / 2, elevation + up));
    draw();
  }

  canvas.addEventListener("pointerdown", (event) => canvas.setPointerCapture(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    if (event.buttons) turn(event.movementX / 100, event.movementY / 100);
  });
  const KEYS = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] };
  canvas.addEventListener("keydown", (event) => {
    if (!(event.key in KEYS)) return;
    event.preventDefault();
    turn(...KEYS[event.key]);
  });
  if (choice) choice.addEventListener("change", () => take(choice.value));
  take(choice ? choice.value : Object.keys(meshes)[0]);
}
