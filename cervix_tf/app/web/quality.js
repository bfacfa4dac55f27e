// What is wrong with an image, by its pixels at the network's size: the rules of cervix_tf/quality.py, which says more.

const LUMINANCE = [0.299, 0.587, 0.114];
const [BLACK, WHITE] = [7.5, 247.5];
const OCTAVES = 5;
const ROUNDING = 1 / 12;

/** {luminance, clipped, sharpness, texture} of resized pixels, 3 values each, of an image of this size. */
export function measured(pixels, {height, width}) {
  const count = height * width;
  const [gray, blue, red] = [0, 1, 2].map(() => new Float64Array(count));
  for (let at = 0; at < count; at++) {
    const [r, g, b] = [pixels[3 * at], pixels[3 * at + 1], pixels[3 * at + 2]];
    gray[at] = LUMINANCE[0] * r + LUMINANCE[1] * g + LUMINANCE[2] * b;
    blue[at] = b - gray[at];
    red[at] = r - gray[at];
  }
  const laplacian = [];
  for (let y = 1; y < height - 1; y++) {
    for (let x = 1; x < width - 1; x++) {
      const at = y * width + x;
      laplacian.push(gray[at - width] + gray[at + width] + gray[at - 1] + gray[at + 1] - 4 * gray[at]);
    }
  }
  return {
    luminance: mean(gray),
    clipped: gray.filter((value) => value < BLACK || value > WHITE).length / count,
    sharpness: laplacian.length ? variance(laplacian) / (variance(gray) + ROUNDING) : 0,
    texture: [gray, blue, red].flatMap((channel) => spectrum(channel, height, width)),
  };
}

/** What is wrong with an image of these measures, by the limits of its kind of view: keys of texts in strings.json. */
export function problems(found, limits) {
  const plain = [
    ["quality_dark", found.luminance < limits.darkest],
    ["quality_bright", found.luminance > limits.brightest],
    ["quality_cut", found.clipped > limits.clipped],
    ["quality_blurred", found.sharpness < limits.sharpness],
  ];
  const wrong = plain.filter(([, holds]) => holds).map(([key]) => key);
  if (wrong.length) return wrong;
  return distance(found.texture, limits) > limits.distance ? ["quality_unlike"] : [];
}

/** Mahalanobis distance of a texture from the training images. */
export function distance(texture, {mean: center, whitening}) {
  const apart = texture.map((value, at) => value - center[at]);
  return Math.hypot(...whitening.map((row) => row.reduce((sum, value, at) => sum + value * apart[at], 0)));
}

/** Mean and log-variances of one channel: within blocks of 2 x 2 at each octave, and of the last blocks. */
function spectrum(channel, height, width) {
  const found = [mean(channel)];
  for (let octave = 0; octave < OCTAVES && Math.min(height, width) >= 2; octave++) {
    const [lines, columns] = [Math.floor(height / 2), Math.floor(width / 2)];
    const blocks = new Float64Array(lines * columns);
    let squares = 0;
    for (let y = 0; y < 2 * lines; y++) {
      for (let x = 0; x < 2 * columns; x++) {
        const value = channel[y * width + x];
        blocks[(y >> 1) * columns + (x >> 1)] += value / 4;
        squares += value ** 2;
      }
    }
    found.push(logOf(Math.max(0, squares / (4 * blocks.length) - mean(blocks.map((value) => value ** 2)))));
    [channel, height, width] = [blocks, lines, columns];
  }
  return [...found, logOf(variance(channel))];
}

const logOf = (energy) => Math.log(energy + ROUNDING);
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

function variance(values) {
  const middle = mean(values);
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / values.length;
}
