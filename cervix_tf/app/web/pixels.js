// Image files to the network's pixels, by the project's definitions: cervix_tf/data/images.py and layers/resize_pixels.py.

import {bare, Refused} from "./headers.js";

const STRIP = 1 << 21; // pixels read back at once: phones limit the size of a canvas

/** {width, height, rgb} of an image file, upright, rgb a Uint8Array of 3 values a pixel. Throws `Refused`. */
export async function decode(file) {
  const {bytes, type, orientation} = bare(new Uint8Array(await file.arrayBuffer()));
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes], {type}), {colorSpaceConversion: "none"});
  } catch {
    throw new Refused("image_damaged");
  }
  try {
    return upright(readBack(bitmap), orientation);
  } finally {
    bitmap.close();
  }
}

/** (height, width, 3) Float32Array, not rounded, of a decoded image: bilinear at half-pixel centers to `supersampling`
 * times the size, then the mean of each block. */
export function resized({width, height, rgb}, size, supersampling) {
  const rows = samples(height, size.height * supersampling);
  const columns = samples(width, size.width * supersampling);
  const sums = new Float64Array(size.height * size.width * 3);
  rows.forEach(([top, bottom, down], y) => {
    const target = Math.floor(y / supersampling) * size.width;
    columns.forEach(([left, right, across], x) => {
      const into = 3 * (target + Math.floor(x / supersampling));
      for (let channel = 0; channel < 3; channel++) {
        const value = (row, column) => rgb[3 * (row * width + column) + channel];
        const above = value(top, left) * (1 - across) + value(top, right) * across;
        const below = value(bottom, left) * (1 - across) + value(bottom, right) * across;
        sums[into + channel] += above * (1 - down) + below * down;
      }
    });
  });
  const count = supersampling ** 2;
  return Float32Array.from(sums, (sum) => sum / count);
}

/** Whether a canvas gives back the pixels that it was given; some browsers change them against fingerprinting. */
export function canvasKeepsPixels() {
  const context = contextOf(16, 16);
  const given = context.createImageData(16, 16);
  given.data.forEach((_, at) => (given.data[at] = at % 4 === 3 ? 255 : (at * 37) % 256));
  context.putImageData(given, 0, 0);
  const back = context.getImageData(0, 0, 16, 16).data;
  return given.data.every((value, at) => value === back[at]);
}

/** For each of `size` samples along an axis of `length` pixels: the two pixels it lies between, and how far along. */
function samples(length, size) {
  return Array.from({length: size}, (_, at) => {
    const place = Math.min(Math.max(((at + 0.5) * length) / size - 0.5, 0), length - 1);
    const before = Math.floor(place);
    return [before, Math.min(before + 1, length - 1), place - before];
  });
}

function readBack(bitmap) {
  const {width, height} = bitmap;
  const rgb = new Uint8Array(3 * width * height);
  const lines = Math.max(1, Math.min(height, Math.floor(STRIP / width)));
  const context = contextOf(width, lines);
  for (let top = 0, into = 0; top < height; top += lines) {
    const count = Math.min(lines, height - top);
    context.clearRect(0, 0, width, lines);
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    const {data} = context.getImageData(0, 0, width, count);
    for (let at = 0; at < data.length; at += 4) {
      if (data[at + 3] !== 255) throw new Refused("image_transparent"); // its colors are lost in a canvas
      rgb[into++] = data[at];
      rgb[into++] = data[at + 1];
      rgb[into++] = data[at + 2];
    }
  }
  return {width, height, rgb};
}

function contextOf(width, height) {
  return Object.assign(document.createElement("canvas"), {width, height}).getContext("2d", {willReadFrequently: true});
}

/** The image as it is to be seen, of one that is stored in an EXIF orientation of 1 to 8. */
function upright(image, orientation) {
  if (orientation === 1) return image;
  const turned = orientation > 4;
  const [width, height] = turned ? [image.height, image.width] : [image.width, image.height];
  const rgb = new Uint8Array(image.rgb.length);
  const [downwards, mirrored] = [[3, 4, 7, 8].includes(orientation), [2, 3, 6, 7].includes(orientation)];
  for (let y = 0, into = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [row, column] = [downwards ? height - 1 - y : y, mirrored ? width - 1 - x : x];
      const from = 3 * (turned ? column * image.width + row : row * image.width + column);
      for (let channel = 0; channel < 3; channel++) rgb[into++] = image.rgb[from + channel];
    }
  }
  return {width, height, rgb};
}
