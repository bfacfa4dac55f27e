// The cases of this session, which live in memory alone, and how they are screened.

import {Refused} from "./headers.js";
import {load, onGraphics} from "./network.js";
import {decode, resized} from "./pixels.js";
import {measured, problems} from "./quality.js";
import {decision} from "./results.js";
import {app, contract, problemOf, viewName} from "./text.js";
import {filled, kind} from "./views.js";

/** Images that make one case: one for each view, or one. */
export const needed = contract.views.length || 1;

/** All cases: {name, files (a File or null for each view), result, problem}. */
export const cases = [];

let network = null;
let variant = 0;

/** Whether a network is loaded. */
export const ready = () => network !== null;

/** The variant in use, as app.json lists it. */
export const model = () => app.models[variant];

/** A new case, not listed yet. */
export const created = (name, files = Array(needed).fill(null), problem = "") => ({name, files, result: null, problem});

/** The case, listed once. */
export function listed(one) {
  if (!cases.includes(one)) cases.push(one);
  return one;
}

/** Whether every view of the case has its image. */
export const complete = (one) => one.files.every(Boolean);

/** Whether the case can be screened: complete, or with some image where the model lets views be missing. */
export const enough = (one) => complete(one) || (contract.missing_views && one.files.some(Boolean));

/** The views of the case that have no image, by name. */
export const lacking = (one) => contract.views.filter((_, at) => !one.files[at]).map(viewName).join(", ");

/** Take a variant, by its place in app.json, and a kind of processor; false where graphics computes otherwise. */
export async function use(chosen, onGraphicsProcessor = false) {
  const plain = await load(app.models[chosen]);
  const faster = onGraphicsProcessor ? await onGraphics(app.models[chosen], plain) : null;
  if (faster) plain.delete();
  network?.delete();
  [network, variant] = [faster ?? plain, chosen];
  return Boolean(faster) === onGraphicsProcessor;
}

/** Screen a case: its `result` becomes {probabilities, top, second, lead, positive, quality, model}, or its `problem` says
 * why not; `quality` is [view, key of a text] for each fault of an image. */
export async function screen(one) {
  if (!enough(one)) return;
  Object.assign(one, {result: null, problem: ""});
  const {files} = one;
  const {height, width, supersampling} = contract;
  const pixels = new Float32Array(needed * height * width * 3);
  const quality = [];
  try {
    const used = contract.missing_views ? filled(files, contract.views) : files;
    for (const [at, file] of used.entries()) {
      if (!file) continue; // its pixels stay black
      try {
        const decoded = await decode(file);
        if (contract.missing_views && decoded.rgb.every((value) => value === 0)) throw new Refused("image_black");
        const image = resized(decoded, {height, width}, supersampling);
        pixels.set(image, at * height * width * 3);
        quality.push(...faults(image, contract.views[at] ?? ""));
      } catch (error) {
        one.problem = `${file.name}: ${problemOf(error)}`;
        return;
      }
    }
    const chosen = model();
    const probabilities = await network.run(pixels);
    if (one.files === files) one.result = {probabilities, ...decision(contract, probabilities), quality, model: chosen};
  } finally {
    await new Promise((done) => setTimeout(done)); // the page is drawn between two cases
  }
}

/** [view, key of a text] for each fault of the image, where the model has limits. */
function faults(image, view) {
  const limits = app.quality?.[kind(view)];
  return limits ? problems(measured(image, contract), limits).map((key) => [view, key]) : [];
}
