// The network, run by LiteRT.js in this browser: pixels in, probabilities out.

import {getWebGpuDevice, loadAndCompile, loadLiteRt, Tensor} from "./litert/litert.js";

const MOST_DIFFERENCE = 1e-3; // of a probability, between two kinds of processor

let runtime = null;
let before = Promise.resolve();

/** A file of the page is not the one that it was written with, or is no longer there. */
export class Changed extends Error {}

/** The network in a file that app.json lists, for "wasm" or "webgpu". Throws `Changed`. */
export async function load({file, sha256}, accelerator = "wasm") {
  runtime ??= loadLiteRt(new URL("litert/litert_wasm_compat_internal.js", import.meta.url).href);
  const answer = await fetch(file); // its name tells it from another model's
  if (!answer.ok) throw new Changed();
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (globalThis.crypto.subtle) { // which plain http lacks
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    if (Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("") !== sha256) throw new Changed();
  }
  await runtime;
  return new Network(await loadAndCompile(bytes, {accelerator}));
}

/** Whether there is a graphics processor to ask for; known once a network is loaded. */
export const hasGraphics = () => Boolean(runtime && getWebGpuDevice());

/** A loaded network. */
class Network {
  constructor(compiled) {
    this.compiled = compiled;
    [this.input] = compiled.getInputDetails();
  }

  /** Probabilities, a plain array, of a Float32Array of resized pixels; one run at a time. */
  run(pixels) {
    const found = before.then(() => this.#run(pixels));
    before = found.catch(() => {});
    return found;
  }

  async #run(pixels) {
    const tensor = new Tensor(pixels, Array.from(this.input.shape));
    try {
      const [output] = await this.compiled.run([tensor]);
      const values = output.accelerator === "wasm" ? output : await output.moveTo("wasm");
      const found = Array.from(values.toTypedArray());
      values.delete();
      return found;
    } finally {
      tensor.delete();
    }
  }

  delete() {
    this.compiled.delete();
  }
}

/** The network on the graphics processor, if all of it runs there, twice alike, and as on the processor; else null. */
export async function onGraphics(model, reference) {
  const network = await load(model, "webgpu").catch(() => null);
  if (await agree(network, reference).catch(() => false)) return network;
  network?.delete();
  return null;
}

async function agree(network, reference) {
  if (network.compiled.options.accelerator !== "webgpu" || !network.compiled.isFullyAccelerated) return false;
  const size = reference.input.shape.reduce((product, side) => product * side, 1);
  const probe = Float32Array.from({length: size}, (_, at) => (at * 7919) % 256);
  const [once, again, expected] = [await network.run(probe), await network.run(probe), await reference.run(probe)];
  return once.every((value, at) => value === again[at] && Math.abs(value - expected[at]) <= MOST_DIFFERENCE);
}
