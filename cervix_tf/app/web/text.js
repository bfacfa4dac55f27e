// Every word that the page says, from strings.json, and the contract that it speaks of.

const read = async (file) => (await fetch(file)).json();

const [strings, contract, app] = await Promise.all(["strings.json", "contract.json", "app.json"].map(read));
const format = (style) => new Intl.NumberFormat(strings.lang, {style, minimumFractionDigits: 1, maximumFractionDigits: 1});
const [percents, numbers] = ["percent", "decimal"].map(format);
const [LEAST, MOST] = [0.0005, 0.9995]; // nothing is shown as sure that the model does not call sure

export {app, contract};

/** The text of this key, {names} in it replaced. */
export const text = (key, values = {}) => strings[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);

/** A probability in percent. */
export function percent(value) {
  if (value > 0 && value < LEAST) return `< ${percents.format(0.001)}`;
  return value >= MOST && value < 1 ? `> ${percents.format(0.999)}` : percents.format(value);
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
