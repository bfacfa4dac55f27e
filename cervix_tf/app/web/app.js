// The page: what its buttons do, and what it shows.

import {cases, complete, lacking, listed, model, ready, screen, use} from "./cases.js";
import {Changed, hasGraphics} from "./network.js";
import {dropped, fromFolders, images, nextVisit, put} from "./picking.js";
import {canvasKeepsPixels} from "./pixels.js";
import {edit, forget, urlOf} from "./slots.js";
import {csv} from "./results.js";
import {announce, apart, app, complain, contract, percent, points, text, viewName} from "./text.js";

const CLOSE = 0.2; // a lead below which the page calls a decision close; see docs/guides/screen_in_a_browser.md
const several = contract.views.length > 0;
const $ = (id) => document.getElementById(id);

const headings = [...document.querySelectorAll("#cases thead th")].slice(1).map((heading) => heading.textContent);

const blank = () => (several ? nextVisit() : null);

let current = blank();
let turns = 0;
let before = Promise.resolve();
let broken = "";

/** The case that the user turns to; what was begun before and ends later does not take them from it. */
function turnTo(one) {
  current = one;
  turns++;
}

/** Do one thing after the other; the page says what, and why it failed. */
function doing(what, act) {
  before = before.then(() => once(what, act));
  return before;
}

async function once(what, act) {
  if (broken) return complain(broken);
  document.body.setAttribute("aria-busy", "true");
  complain();
  announce(what);
  try {
    announce((await act()) ?? "");
  } catch (error) {
    if (!(error instanceof Changed)) console.error(error);
    announce("");
    complain(text(error instanceof Changed ? "changed" : "failed", {error: error.message}));
  } finally {
    document.body.removeAttribute("aria-busy");
    show();
  }
}

async function screenAll(some, follow = () => {}) {
  for (const [at, one] of some.entries()) {
    announce(text("screening", {name: one.name, at: at + 1, all: some.length}));
    await screen(one);
    show();
  }
  const last = some.at(-1);
  if (last) follow(last);
  const failed = some.filter(({result}) => !result);
  if (failed.length) complain(failed.length === 1 ? failed[0].problem : text("some_failed", {failed: failed.length}));
  if (last?.result && last === current) $("result").scrollIntoView({block: "nearest"});
  if (some.length === 1) return last.result ? said(last) : "";
  return text("screened", {done: some.length - failed.length, all: some.length});
}

/** Files {file, path} from anywhere: into the visit `one`, shown when they were asked for, or as cases of their own. */
function take(files, one) {
  const kept = images(files);
  if (!kept.length) return complain(text("no_images"));
  const visits = several && kept.some(({path}) => path.includes("/"));
  if (several && !visits) {
    turnTo(complete(one) ? nextVisit() : one);
    Object.assign(listed(current), {result: null, problem: ""});
    complain();
    announce(put(current, kept.map(({file}) => file)));
    complain(current.problem);
    return show();
  }
  const turn = turns;
  const follow = (made) => {
    if (turn === turns) current = made;
    show();
  };
  return doing(text("reading"), async () => {
    const made = fromFolders(kept);
    follow(made[0]);
    return screenAll(made.filter(({problem}) => !problem), follow);
  });
}

const plain = (list) => [...list].map((file) => ({file, path: file.webkitRelativePath || file.name}));

/** Ask for files, and do `then` with them and the case that is shown now. */
function ask(input, then) {
  const one = current;
  input.value = "";
  input.onchange = () => then(plain(input.files), one);
  input.click();
}

function pick(at, photo) {
  const input = photo ? $("camera") : $("files");
  input.multiple = false;
  ask(input, ([{file}], one) => {
    listed(one).files = one.files.with(at, file);
    changed(one);
  });
}

function changed(one) {
  turnTo(Object.assign(one, {result: null, problem: ""}));
  complain();
  show();
}

/** What the result says, in one sentence. */
function said(one) {
  const {probabilities, top, second, lead} = one.result;
  const names = {name: one.name, class: contract.classes[top], second: contract.classes[second]};
  return [qualityOf(one.result), text("said", {...names, probability: percent(probabilities[top]), lead: points(lead)})]
    .filter(Boolean)
    .join(" ");
}

const faultsOf = ({quality}) => quality.map(([view, key]) => [view && viewName(view), text(key)].filter(Boolean).join(": "));

/** What is wrong with the images, in a sentence; "" for nothing. */
const qualityOf = (result) => (result.quality.length ? text("quality", {faults: faultsOf(result).join("; ")}) : "");

const undecided = ({lead, model: used}) => used.widest_change > 0 && lead <= used.widest_change;

/** The class, and whether the decision for it was close. */
function nameOf(result) {
  const name = contract.classes[result.top];
  const said = result.lead < CLOSE || undecided(result) ? text("class_close", {class: name}) : name;
  return result.quality.length ? text("class_quality", {class: said, faults: faultsOf(result).join("; ")}) : said;
}

function unsure(result) {
  const names = {second: contract.classes[result.second], lead: points(result.lead)};
  if (undecided(result)) return text("undecided", {...names, change: points(result.model.widest_change)});
  return text(result.lead < CLOSE ? "close" : "ahead", names);
}

function show() {
  const keep = new Set(cases.flatMap(({files}) => files));
  if (several) {
    if (document.activeElement !== $("name")) $("name").value = current.name;
    edit(current, {changed, pick});
  }
  $("result").hidden = !current?.result;
  if (current?.result) showResult(current);
  $("cases").hidden = !cases.length;
  $("cases").querySelector("tbody").replaceChildren(...cases.map(rowOf));
  forget(keep);
}

function showResult(one) {
  const {probabilities, top, together, positive} = one.result;
  const part = (name) => $("result").querySelector(name);
  const views = lacking(one);
  part(".of").textContent = views ? text("without", {name: one.name, views}) : one.name;
  if (!several) Object.assign(part(".preview"), {src: urlOf(one.files[0]), alt: text("image_named", {file: one.name})});
  part(".decision").textContent = contract.classes[top];
  const point = contract.operating_point;
  const [score, threshold] = point ? apart(together, point.threshold) : [percent(together)];
  const values = {classes: contract.positive.join(", "), together: score, threshold, rule: point?.rule};
  const [yes, no] = point ? ["positive_at", "negative_at"] : ["positive", "negative"];
  part(".positive").textContent = positive === null ? "" : text(positive ? yes : no, values);
  part(".quality").textContent = qualityOf(one.result);
  part(".unsure").textContent = unsure(one.result);
  part(".unsure").classList.toggle("warning", one.result.lead < CLOSE || undecided(one.result));
  part("tbody").replaceChildren(
    ...contract.classes.map((name, at) => {
      const row = $("bar").content.cloneNode(true);
      row.querySelector("th").textContent = name;
      row.querySelector("progress").value = probabilities[at];
      row.querySelector("progress").setAttribute("aria-label", name);
      row.querySelector(".number").textContent = percent(probabilities[at]);
      row.querySelector("tr").classList.toggle("top", at === top);
      return row;
    }),
  );
}

function rowOf(one) {
  const row = $("row").content.cloneNode(true);
  const [says, probability, lead] = row.querySelectorAll("td");
  row.querySelector("th").textContent = one.name;
  row.querySelector("tr").classList.toggle("shown", one === current);
  says.textContent = one.result ? nameOf(one.result) : one.problem || text("not_screened");
  if (one.result) {
    probability.textContent = percent(one.result.probabilities[one.result.top]);
    lead.textContent = points(one.result.lead);
  }
  row.querySelectorAll(".number").forEach((each, at) => (each.dataset.label = headings[at + 1]));
  const act = (name, what) => {
    const button = row.querySelector(`[data-act=${name}]`);
    button.setAttribute("aria-label", text(`${name}_case`, {name: one.name}));
    button.onclick = what;
  };
  act("show", () => {
    turnTo(one);
    complain(one.problem);
    show();
    if (one.result) announce(said(one));
  });
  act("remove", () => {
    cases.splice(cases.indexOf(one), 1);
    turnTo(current === one ? blank() : current);
    complain();
    show();
    announce(text("removed", {name: one.name}));
    $("choose").focus();
  });
  return row;
}

function download() {
  const views = several ? contract.views : ["image"];
  const header = ["input", ...views, ...contract.classes.map((name) => `p_${name}`), "most_probable", "lead"];
  const point = contract.operating_point;
  if (point) header.push("score", "positive");
  if (app.quality) header.push("quality");
  header.push("model", "version", "arithmetic", "digest", "problem");
  const answers = (result) => [
    ...result.probabilities.map((value) => Number(value.toFixed(6))),
    ...[contract.classes[result.top], Number(result.lead.toFixed(6))],
    ...(point ? [Number(result.together.toFixed(6)), String(result.positive)] : []),
    ...(app.quality ? [faultsOf(result).join("; ")] : []),
    ...[contract.task, contract.version, result.model.name, result.model.digest],
  ];
  const none = Array(header.length - views.length - 2).fill("");
  const rows = cases.map(({name, files, result, problem}) => [
    ...[name, ...files.map((file) => file?.name ?? "")],
    ...(result ? answers(result) : none),
    result ? "" : problem || text("not_screened"),
  ]);
  const file = new Blob([csv([header, ...rows])], {type: "text/csv"});
  const link = Object.assign(document.createElement("a"), {href: URL.createObjectURL(file), download: "predictions.csv"});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function listen() {
  $("choose").onclick = () => {
    $("files").multiple = true;
    ask($("files"), take);
  };
  $("folder").onclick = () => ask($("folders"), take);
  if ($("photo")) $("photo").onclick = () => ask($("camera"), take);
  if (several) {
    $("screen").onclick = () => {
      const one = current;
      return doing(text("reading"), () => screenAll([one]));
    };
    $("next").onclick = () => {
      turnTo(nextVisit());
      complain();
      show();
      announce(text("next_ready", {name: current.name}));
      $("choose").focus();
    };
    let named = current;
    $("name").onfocus = () => {
      named = current;
      turnTo(named);
    };
    $("name").onchange = () => {
      named.name = $("name").value.trim() || nextVisit().name;
      show();
    };
    $("name").onblur = () => ($("name").value = current.name);
  }
  $("download").onclick = download;
  $("clear").onclick = () => {
    cases.length = 0;
    turnTo(blank());
    complain();
    show();
    announce(text("cleared"));
    $("choose").focus();
  };
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    const one = current;
    take(await dropped(event.dataTransfer.items), one);
  });
  for (const input of document.querySelectorAll("#variants input, #webgpu")) {
    input.onchange = () => doing(text("loading"), change);
  }
}

/** The network that the settings name, and every result anew. */
async function change() {
  const chosen = Number(document.querySelector("#variants input:checked").value);
  const done = cases.filter(({result}) => result);
  const asked = await use(chosen, $("webgpu").checked);
  $("webgpu").checked &&= asked;
  await screenAll(done);
  if (!asked) complain(text("webgpu_differs"));
  return text("ready", {model: text(`variant_${model().name}`)});
}

/** Keep all files of the page on this device, so that it starts without a network. */
async function install() {
  const tell = (key) => ($("offline").textContent = text(key));
  if (!navigator.serviceWorker) return tell("offline_not");
  const before = navigator.serviceWorker.controller;
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (!before) return;
    if (cases.length) complain(text("changed"));
    else location.reload();
  });
  try {
    await navigator.serviceWorker.register("worker.js");
    await navigator.serviceWorker.ready;
    tell("offline_ready");
  } catch {
    tell("offline_not");
  }
}

listen();
show();
install();
await doing(text("loading"), async () => {
  if (!canvasKeepsPixels()) throw new Error(text("canvas"));
  if (app.models[0].digest !== contract.digest) throw new Changed();
  await use(0);
  $("graphics").hidden = !hasGraphics();
  return text("ready", {model: text(`variant_${model().name}`)});
});
if (!ready()) broken = $("problem").textContent;
document.documentElement.dataset.ready = "";
