// Which image of a case is which view: the rule of cervix_tf/data/views.py, which says more.

import {compare, stem, words} from "./names.js";

const OTHER_WORDS = {iodine: ["lugol"]};

/** Why the names leave open which image is which view: the key of a text in strings.json, and what it names. */
export class Untold extends Error {
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

/** The kind of a view: its name without a trailing number. */
export const kind = (view) => view.replace(/_\d+$/, "");

/** Map of view -> file, for the file names of one case. Throws `Untold`. */
export function assign(files, views) {
  const kinds = grouped(views, kind);
  const told = new Map();
  const silent = [];
  for (const file of files) {
    const found = said(file, [...kinds.keys()]);
    if (found.size > 1) throw new Untold("untold_kinds", {file, kinds: [...found.keys()].join(", ")});
    for (const [name, number] of found) told.set(name, [...(told.get(name) ?? []), [file, number]]);
    if (!found.size) silent.push(file);
  }
  const assigned = new Map();
  for (const [name, some] of told) {
    const ofKind = kinds.get(name);
    if (some.length === ofKind.length) {
      inOrder(some).forEach((file, at) => assigned.set(ofKind[at], file));
      continue;
    }
    const exact = some.map(([file, number]) => [`${name}_${number}`, file]);
    const oneToOne = new Set(exact.map(([view]) => view)).size === exact.length && exact.every(([view]) => ofKind.includes(view));
    if (some.length > ofKind.length || !silent.length || !oneToOne)
      throw new Untold("untold_count", {some: some.length, kind: name, should: ofKind.length});
    for (const [view, file] of exact) assigned.set(view, file);
  }
  const left = views.filter((view) => !assigned.has(view));
  if (silent.length !== left.length) throw new Untold("untold_images", {images: files.length, views: views.length});
  if (assigned.size && new Set(left.map(kind)).size > 1)
    throw new Untold("untold_silent", {file: silent[0], views: left.join(", ")});
  inOrder(silent.map((file) => [file, ""])).forEach((file, at) => assigned.set(left[at], file));
  return assigned;
}

/** The same for a case that lacks views: each name has to say its kind, whose first views its images are. */
export function assignSome(files, views) {
  const kinds = grouped(views, kind);
  const told = new Map();
  for (const file of files) {
    const found = [...said(file, [...kinds.keys()])];
    if (!found.length) throw new Untold("untold_none", {file});
    if (found.length > 1) throw new Untold("untold_kinds", {file, kinds: found.map(([name]) => name).join(", ")});
    const [[name, number]] = found;
    told.set(name, [...(told.get(name) ?? []), [file, number]]);
  }
  const assigned = new Map();
  for (const [name, some] of told) {
    const should = kinds.get(name).length;
    if (some.length > should) throw new Untold("untold_count", {some: some.length, kind: name, should});
    inOrder(some).forEach((file, at) => assigned.set(kinds.get(name)[at], file));
  }
  return assigned;
}

/** What stands for each view: of a kind that lacks some, the others repeated in their order; of one without any, null. */
export function filled(files, views) {
  const places = grouped([...views.keys()], (at) => kind(views[at]));
  return files.map((_, at) => {
    const same = places.get(kind(views[at]));
    const some = same.map((place) => files[place]).filter(Boolean);
    return some[Math.floor((same.indexOf(at) * some.length) / same.length)] ?? null;
  });
}

/** Whether a file's name says a kind of view. */
export const named = (file, views) => [...said(file, [...grouped(views, kind).keys()])].length > 0;

/** The view that a file's name alone says, "" where it says none or leaves the number open. */
export function viewOf(file, views) {
  const found = [...said(file, [...grouped(views, kind).keys()])];
  if (found.length !== 1) return "";
  const [name, number] = found[0];
  const ofKind = views.filter((view) => kind(view) === name);
  return ofKind.length === 1 ? ofKind[0] : (ofKind.find((view) => view === `${name}_${number}`) ?? "");
}

/** Map of kind -> the number right after it in the file's name, "" without one. */
function said(file, kinds) {
  const within = words(stem(file).replace(/([a-z])(?=[A-Z])/g, "$1 "));
  const found = new Map();
  for (const each of kinds) {
    for (const wanted of [words(each), ...(OTHER_WORDS[each] ?? []).map((word) => [word])]) {
      for (let at = within.length - wanted.length; wanted.length && at >= 0; at--) {
        if (wanted.every((word, next) => within[at + next] === word)) {
          found.set(each, [at, at + wanted.length]);
          break;
        }
      }
    }
  }
  const places = [...found.values()];
  const inner = ([start, end]) =>
    places.some(([first, last]) => first <= start && end <= last && (start !== first || end !== last));
  const outer = [...found].filter(([, place]) => !inner(place));
  return new Map(outer.map(([name, [, end]]) => [name, /^[0-9]+$/.test(within[end] ?? "") ? within[end] : ""]));
}

/** The files by the numbers of their views where those tell them apart, else by name. */
function inOrder(files) {
  const numbers = new Set(files.map(([, number]) => number));
  if (!numbers.has("") && numbers.size === files.length)
    return files.toSorted(([, one], [, other]) => Number(one) - Number(other)).map(([file]) => file);
  const ordered = files.map(([file]) => file).toSorted((one, other) => compare(stem(one), stem(other)));
  for (let at = 1; at < ordered.length; at++) {
    const [one, other] = [ordered[at - 1], ordered[at]];
    if (compare(stem(one), stem(other)) === 0) throw new Untold("untold_equal", {one, other});
  }
  return ordered;
}

function grouped(values, key) {
  const found = new Map();
  for (const value of values) found.set(key(value), [...(found.get(key(value)) ?? []), value]);
  return found;
}
