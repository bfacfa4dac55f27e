// Every word that the page says, from strings.json, and the contract that it speaks of.

const read = async (file) => (await fetch(file)).json();

const [strings, contract, app] = await Promise.all(["strings.json", "contract.json", "app.json"].map(read));
const format = (style, decimals) =>
  new Intl.NumberFormat(strings.lang, {style, minimumFractionDigits: decimals, maximumFractionDigits: decimals});
const percents = Array.from({length: 15}, (_, at) => format("percent", at + 1));
const numbers = format("decimal", 1);

export {app, contract};

/** The text of this key, {names} in it replaced. */
export const text = (key, values = {}) => strings[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** A probability in percent; none is shown as sure that the model does not call sure. */
export function percent(value, decimals = 1) {
  const [least, {format: shown}] = [10 ** -(decimals + 2), percents[decimals - 1]];
  if (value > 0 && value < least / 2) return `< ${shown(least)}`;
  return value >= 1 - least / 2 && value < 1 ? `> ${shown(1 - least)}` : shown(value);
}

/** A probability and a threshold in percent, with as many decimals as tell them apart. */
export function apart(value, threshold) {
  const pairs = percents.map((_, at) => [value, threshold].map((each) => percent(each, at + 1)));
  const tells = ([one, other]) => (one !== other || value === threshold) && !/^[<>]/.test(other);
  return pairs.find(tells) ?? pairs[0];
}

/** A difference of two probabilities in percentage points. */
export const points = (value) => numbers.format(100 * value);

/** A view by its name for people. */
export const viewName = (view) => app.views[view] ?? view;

/** Say it to everyone: seen below the buttons, and read out. */
export const announce = (said) => (document.getElementById("status").textContent = said);

/** Say what went wrong, or that nothing did. */
export const complain = (said = "") => (document.getElementById("problem").textContent = said);

/** The text of an error that has a key of its own; others are bugs and are thrown again. */
export function problemOf(error) {
  if (error.key === undefined) throw error;
  return text(error.key, error.values);
}
