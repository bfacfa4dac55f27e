// Image files as they are decoded: what cervix_tf/data/images.py refuses is refused, and what would make a browser's
// decoder change colors or turn the image (color profiles, EXIF) is cut out, so that every browser gives one answer.
// One thing goes unseen that Python sees: a JPEG damaged between its headers and its end, which browsers fill in.

const MOST_PIXELS = 50_000_000;
const MOST_SIDE = 32_766;
const NO_FRAME = [0xc4, 0xc8, 0xcc];
const ORIENTATION = 274;
const TIFF_BYTES = {1: 1, 3: 2, 4: 4};
const CRC = Uint32Array.from({length: 256}, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** Why an image is not taken: the key of a text in strings.json, and what it names. */
export class Refused extends Error {
  constructor(key, values = {}) {
    super(key);
    this.key = key;
    this.values = values;
  }
}

/** {bytes, type, orientation} of a JPEG, PNG or BMP file: its image alone, and how it is to be turned. Throws `Refused`. */
export function bare(bytes) {
  if (!bytes.length) throw new Refused("image_empty");
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const begins = (...values) => values.every((value, at) => bytes[at] === value);
  try {
    if (begins(0xff, 0xd8, 0xff)) return jpeg(bytes, data);
    if (begins(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)) return png(bytes, data);
    if (begins(0x42, 0x4d)) return bmp(bytes, data);
  } catch (error) {
    throw error instanceof RangeError ? new Refused("image_damaged") : error;
  }
  throw new Refused("image_format");
}

function jpeg(bytes, data) {
  const parts = [bytes.subarray(0, 2)];
  let frame = null;
  let orientation = 0;
  let at = 2;
  for (;;) {
    at = bytes.indexOf(0xff, at);
    while (at >= 0 && bytes[at + 1] === 0xff) at++;
    if (at < 0 || at + 4 > bytes.length || bytes[at + 1] === 0xd9) throw new Refused("image_damaged");
    const marker = bytes[at + 1];
    if (marker < 0x02 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2;
      continue;
    }
    if (marker === 0xda) break;
    const end = at + 2 + data.getUint16(at + 2);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 10));
    if (marker === 0xe1 && name === "Exif\0\0") orientation ||= orientationOf(bytes.subarray(at + 10, end));
    if (marker >= 0xc0 && marker <= 0xcf && !NO_FRAME.includes(marker)) {
      frame = {bits: bytes[at + 4], height: data.getUint16(at + 5), width: data.getUint16(at + 7), channels: bytes[at + 9]};
    }
    if (marker !== 0xe1 && marker !== 0xe2) parts.push(bytes.subarray(at, end)); // EXIF and XMP; the color profile
    at = end;
  }
  if (!frame || !whole(bytes, at)) throw new Refused("image_damaged");
  check(frame.width, frame.height, frame.bits);
  if (![1, 3].includes(frame.channels)) throw new Refused("image_colors");
  return {bytes: joined([...parts, bytes.subarray(at)]), type: "image/jpeg", orientation: orientation || 1};
}

/** Whether the end of the image is there, after its last scan. */
function whole(bytes, scan) {
  for (let at = bytes.length - 2; at > scan; at--) {
    if (bytes[at] === 0xff && bytes[at + 1] === 0xd9) return true;
  }
  return false;
}

function png(bytes, data) {
  const [width, height, bits, colors] = [data.getUint32(16), data.getUint32(20), bytes[24], bytes[25]];
  const parts = [bytes.subarray(0, 8)];
  let orientation = 1;
  for (let at = 8, name = ""; name !== "IEND"; ) {
    const length = data.getUint32(at);
    const end = at + 12 + length;
    name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (end > bytes.length || crc(bytes.subarray(at + 4, end - 4)) !== data.getUint32(end - 4))
      throw new Refused("image_damaged");
    if (name === "eXIf") orientation = orientationOf(bytes.subarray(at + 8, end - 4));
    if (["IHDR", "IDAT", "IEND"].includes(name) || (name === "PLTE" && colors === 3)) parts.push(bytes.subarray(at, end));
    at = end;
  }
  check(width, height, bits);
  return {bytes: joined(parts), type: "image/png", orientation};
}

function bmp(bytes, data) {
  const old = data.getUint32(14, true) === 12;
  const width = old ? data.getUint16(18, true) : data.getInt32(18, true);
  const height = old ? data.getUint16(20, true) : Math.abs(data.getInt32(22, true));
  check(width, height, 8);
  return {bytes, type: "image/bmp", orientation: 1};
}

function check(width, height, bits) {
  if (width < 1 || height < 1) throw new Refused("image_damaged");
  if (bits > 8) throw new Refused("image_bits", {bits});
  if (width * height > MOST_PIXELS || Math.max(width, height) > MOST_SIDE) throw new Refused("image_size", {width, height});
}

/** 1 to 8, of an EXIF block; 1 (upright) where it says none, or contradicts itself. */
function orientationOf(exif) {
  try {
    const data = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
    const little = exif[0] === 0x49;
    const start = data.getUint32(4, little);
    let found = 0;
    for (let entry = 0; entry < data.getUint16(start, little); entry++) {
      const at = start + 2 + 12 * entry;
      const [tag, type, count] = [data.getUint16(at, little), data.getUint16(at + 2, little), data.getUint32(at + 4, little)];
      if (tag !== ORIENTATION) continue;
      if (found || !TIFF_BYTES[type] || count < 1 || count > 64) return 1;
      const place = TIFF_BYTES[type] * count > 4 ? data.getUint32(at + 8, little) : at + 8;
      const read = {1: "getUint8", 3: "getUint16", 4: "getUint32"}[type];
      found = Math.max(...Array.from({length: count}, (_, n) => data[read](place + n * TIFF_BYTES[type], little)));
    }
    return found >= 1 && found <= 8 ? found : 1;
  } catch (error) {
    if (error instanceof RangeError) return 1;
    throw error;
  }
}

function crc(bytes) {
  let found = 0xffffffff;
  for (const byte of bytes) found = CRC[(found ^ byte) & 0xff] ^ (found >>> 8);
  return (found ^ 0xffffffff) >>> 0;
}

function joined(parts) {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
