// What probabilities say by the contract of their model, and tables of them.

const FORMULA = /^'*[=+\-@\t\r]/;

/** {top, second, lead, together, positive} of probabilities: places of the two largest, by how much the first is ahead,
 * the positive classes' sum, and whether it counts as positive: by the contract's operating point, else by the largest
 * (null where the model has no positive classes). */
export function decision(contract, probabilities) {
  const order = probabilities.map((_, at) => at).sort((one, other) => probabilities[other] - probabilities[one]);
  const [top, second] = order;
  const counts = (at) => contract.positive.includes(contract.classes[at]);
  const together = order.reduce((sum, at) => sum + (counts(at) ? probabilities[at] : 0), 0);
  const point = contract.operating_point;
  const positive = contract.positive.length ? (point ? together >= point.threshold : counts(top)) : null;
  return {top, second, lead: probabilities[top] - probabilities[second], together, positive};
}

/** Rows of cells as CSV; what a spreadsheet program would run as a formula gets a ' before it (see data/tables.py). */
export function csv(rows) {
  return rows.map((row) => `${row.map(cell).join(",")}\n`).join("");
}

function cell(value) {
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
