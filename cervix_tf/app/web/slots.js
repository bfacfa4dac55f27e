// The images of one visit, each with its view: picked, photographed, and put in order by dragging or by keys.

import {enough} from "./cases.js";
import {announce, contract, text, viewName} from "./text.js";

const slots = [...document.querySelectorAll(".slot")];
const urls = new Map();

/** Show the case, and call `changed` whenever the user changes its images; `pick(at, photo)` asks for one. */
export function edit(one, {changed, pick}) {
  const move = (from, to) => {
    if (from === to || !(to in slots) || !one.files[from]) return;
    const files = [...one.files];
    files.splice(to, 0, ...files.splice(from, 1));
    one.files = files;
    changed(one);
    announce(text("moved", {file: files[to].name, view: viewName(contract.views[to])}));
  };
  slots.forEach((slot, at) => {
    const file = one.files[at];
    const picture = slot.querySelector(".picture");
    const image = picture.querySelector("img");
    image.hidden = !file;
    image.src = file ? urlOf(file) : "";
    image.alt = file ? text("image_of_view", {file: file.name, view: viewName(contract.views[at])}) : "";
    slot.querySelector(".none").hidden = Boolean(file);
    slot.querySelector(".file").textContent = file?.name ?? "";
    slot.classList.toggle("filled", Boolean(file));
    const act = (name) => slot.querySelector(`[data-act=${name}]`);
    act("pick").onclick = () => pick(at, false);
    act("photo").onclick = () => pick(at, true);
    for (const [name, to] of [["earlier", at - 1], ["later", at + 1]]) {
      act(name).disabled = !file || !(to in slots);
      act(name).onclick = () => {
        move(at, to);
        focusOn(slots[to], name);
      };
    }
    picture.onpointerdown = file ? (event) => drag(event, at, move) : null;
  });
  document.getElementById("screen").disabled = !enough(one);
}

/** Where a moved image went, the same button of it, or the other one where that is at the end. */
function focusOn(slot, name) {
  const button = slot.querySelector(`[data-act=${name}]`);
  (button.disabled ? slot.querySelector(`[data-act=${name === "earlier" ? "later" : "earlier"}]`) : button).focus();
}

/** Follow a mouse or a finger from the image at `from` to the slot where it is let go. */
function drag(event, from, move) {
  // A finger on the image scrolls the page; it drags by the handle, so that no view is moved unawares.
  if (event.button || (event.pointerType === "touch" && !event.target.closest(".handle"))) return;
  event.preventDefault();
  const picture = event.currentTarget;
  const under = ({clientX, clientY}) => slots.indexOf(document.elementFromPoint(clientX, clientY)?.closest(".slot"));
  const mark = (to) => slots.forEach((slot, at) => slot.classList.toggle("target", at === to && to !== from));
  const end = (last) => {
    picture.onpointermove = picture.onpointerup = picture.onpointercancel = null;
    slots[from].classList.remove("dragged");
    mark(-1);
    if (last.type === "pointerup") move(from, under(last));
  };
  picture.setPointerCapture(event.pointerId);
  slots[from].classList.add("dragged");
  picture.onpointermove = (next) => mark(under(next));
  picture.onpointerup = picture.onpointercancel = end;
}

/** A URL of the file for an <img>; those of files that are no longer there are given back by `forget`. */
export function urlOf(file) {
  if (!urls.has(file)) urls.set(file, URL.createObjectURL(file));
  return urls.get(file);
}

/** Give back the URLs of all files but these. */
export function forget(keep) {
  for (const [file, url] of urls) {
    if (keep.has(file)) continue;
    URL.revokeObjectURL(url);
    urls.delete(file);
  }
}
