// Words and order of file names, as cervix_tf/data/names.py has them.

const NUMBER = /([0-9]+)/;
const WORD = /[0-9]+|[\p{L}\p{Nl}\p{No}]+/gu;

/** The words and numbers in a text, numbers by their value: `Woman_012` and `woman 12` have the same. */
export function words(text) {
  return (seen(text).match(WORD) ?? []).map((word) => (/^[0-9]/.test(word) ? value(word) : word));
}

/** Orders names as people count: `IMG (8)` before `IMG (10)`; 0 for names that nobody could order. */
export function compare(one, other) {
  const [first, second] = [one, other].map((name) => seen(name).split(NUMBER));
  for (let at = 0; at < Math.min(first.length, second.length); at++) {
    const [a, b] = [first[at], second[at]].map((part) => (at % 2 ? value(part) : part));
    if (at % 2 && a.length !== b.length) return a.length - b.length;
    if (a !== b) return a < b ? -1 : 1;
  }
  return first.length - second.length;
}

/** The name without its last suffix. */
export function stem(file) {
  const name = file.split("/").at(-1);
  const dot = name.lastIndexOf(".");
  return dot > 0 && dot < name.length - 1 ? name.slice(0, dot) : name;
}

/** The text as it looks: case, invisible characters and the forms of letters and digits ignored. */
function seen(text) {
  const visible = text.normalize("NFKC").replace(/\p{Cf}/gu, "");
  return visible.toLowerCase().replace(/\p{Nd}/gu, digit).normalize("NFC");
}

/** A decimal digit of any script as 0 to 9: scripts have theirs in rows of ten. */
function digit(character) {
  let first = character.codePointAt(0);
  const at = first;
  while (/^\p{Nd}$/u.test(String.fromCodePoint(first - 1))) first--;
  return String((at - first) % 10);
}

function value(digits) {
  return digits.replace(/^0+/, "") || "0";
}
