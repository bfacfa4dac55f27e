// Files that the user chose or dropped, as cases.

import {cases, created, lacking, listed, needed} from "./cases.js";
import {compare} from "./names.js";
import {app, contract, text} from "./text.js";
import {assign, assignSome, named, Untold, viewOf} from "./views.js";

const {endings, made_by_systems, thumbnail} = app.images; // as in cervix_tf/data/walk.py
const THUMBNAIL = new RegExp(`^${thumbnail}`, "i");
const strange = (part) => part.startsWith(".") || made_by_systems.includes(part.toLowerCase()) || THUMBNAIL.test(part);

/** Those of {file, path} that are images by name; what operating systems and network drives make is left out, but not
 * for the name of the folder that was chosen. */
export function images(files) {
  const named = ({path}) => endings.some((ending) => path.toLowerCase().endsWith(ending));
  return files.filter((each) => named(each) && !each.path.replace(/^[^/]*\//, "").split("/").some(strange));
}

/** {file, path} of what was dropped, folders opened; path is that below the dropped one. */
export async function dropped(items) {
  const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  const open = async (entry) => {
    if (entry.isFile) {
      const file = await new Promise((done, failed) => entry.file(done, failed));
      found.push({file, path: entry.fullPath.slice(1)});
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done, failed) => reader.readEntries(done, failed)); // a hundred at a time
      if (!some.length) return;
      for (const each of some) await open(each);
    }
  };
  for (const entry of entries) await open(entry);
  return found;
}

/** The cases that these files make, {file, path}: an image each, or a folder each for a model of several views. */
export function fromFolders(files) {
  const ordered = files.toSorted(({path: one}, {path: other}) => compare(one, other) || (one < other ? -1 : 1));
  if (!contract.views.length) return ordered.map(({file, path}) => listed(created(path, [file])));
  const folders = new Map();
  for (const {file, path} of ordered) {
    const folder = path.split("/").slice(0, -1).join("/");
    folders.set(folder, [...(folders.get(folder) ?? []), file]);
  }
  return [...folders].map(([name, some]) => {
    const one = listed(created(name));
    if (some.length === needed || (contract.missing_views && some.length < needed)) return arranged(one, some);
    return Object.assign(one, {problem: text("wrong_number", {images: some.length, views: needed})});
  });
}

/** Put the files into the case: all of its views by the names' rule, or some of them where they are told or next free. */
export function put(one, files) {
  if (files.length === needed) {
    arranged(one, files);
    return one.problem || text(files.every(({name}) => named(name, contract.views)) ? "order_told" : "order_by_name");
  }
  const free = () => one.files.indexOf(null);
  one.files = [...one.files];
  for (const file of [...files].sort((a, b) => compare(a.name, b.name))) {
    const told = contract.views.indexOf(viewOf(file.name, contract.views));
    const at = told >= 0 && !one.files[told] ? told : free();
    if (at < 0) return text("too_many", {views: needed});
    if (at !== told && contract.missing_views) {
      one.problem = text("check_order", {why: text("untold_none", {file: file.name})}); // a guess is not to be screened
    }
    one.files[at] = file;
  }
  const views = lacking(one);
  return views ? text(contract.missing_views ? "may_miss" : "missing", {views}) : text("all_there");
}

/** The next visit, without images yet, by a name that no other has. */
export function nextVisit() {
  const taken = new Set(cases.map(({name}) => name));
  let number = 1;
  while (taken.has(text("visit_number", {number}))) number++;
  return created(text("visit_number", {number}));
}

/** The case with these files, in the order that their names tell; else by name, and told so. */
function arranged(one, files) {
  const byName = new Map(files.map((file) => [file.name, file]));
  try {
    const some = contract.missing_views && files.every(({name}) => named(name, contract.views));
    const told = files.length === needed && !some ? assign : assignSome;
    const views = told([...byName.keys()], contract.views);
    one.files = contract.views.map((view) => byName.get(views.get(view)) ?? null);
  } catch (error) {
    if (!(error instanceof Untold)) throw error;
    const ordered = [...files].sort((a, b) => compare(a.name, b.name));
    one.files = contract.views.map((_, at) => ordered[at] ?? null);
    one.problem = text("check_order", {why: text(error.key, error.values)});
  }
  return one;
}
