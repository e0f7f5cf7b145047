"use strict";
// Reads crops and masks from PNG and TIFF files, with the same grey levels as lipnet/sources/images.py. The decoder of the
// browser is not used: it adapts grey levels to the colours of the screen and has no 16 bits.

const MOST_PIXELS = 2 ** 24; // of one crop
const LUMINANCE = [0.2125, 0.7154, 0.0721]; // weights of red, green and blue, ITU-R BT.709
const SUFFIXES = [".png", ".tif", ".tiff"];
const AS_GREY = "save it as a grey PNG of 8 or 16 bits";

// What is wrong with one file, in words for the user, with the cure.
class Fault extends Error {}

function suffixOf(name) {
  const file = name.slice(name.lastIndexOf("/") + 1);
  const dot = file.lastIndexOf(".");
  return dot > 0 ? file.slice(dot).toLowerCase() : "";
}

// Content of an image file: {height, width, channels, values, white}; white is undefined for levels without a white.
function decode(bytes, name) {
  const suffix = suffixOf(name);
  if (!SUFFIXES.includes(suffix)) throw new Fault(`format '${suffix}' is not read here; save it as PNG or TIFF`);
  const [kind, read] = suffix === ".png" ? ["PNG", decodePng] : ["TIFF", decodeTiff];
  try {
    return withoutAlpha(read(bytes));
  } catch (error) {
    if (error instanceof Fault) throw error;
    throw new Fault(`damaged, or a kind of ${kind} that is not read here (${error.message}); ${AS_GREY}`);
  }
}

// Sizes in the header are checked before memory of that size is used.
function checkSize(height, width) {
  if (!(height > 0 && width > 0)) throw new Fault("the image has no pixels; save it again");
  if (height * width > MOST_PIXELS) {
    throw new Fault(`${height} x ${width} px is more than a single particle; cut out the particles first`);
  }
}

function decodePng(bytes) {
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  checkSize(header.getUint32(20), header.getUint32(16));
  const interlaced = header.getUint8(28) === 1;
  const { height, width, channels, depth, data, palette } = libraries.decodePng(bytes, { checkCrc: true });
  if (depth < 8 && interlaced) throw new Fault(`interlaced with ${depth} bits; ${AS_GREY}`);
  if (depth === 16 && channels > 1) throw new Fault(`has 16 bits with colours or transparency; ${AS_GREY}`);
  const values = depth < 8 ? unpack(data, height, width, depth) : data;
  if (palette) return { height, width, channels: 3, values: coloured(values, palette), white: 255 };
  const most = 2 ** depth - 1;
  const full = depth < 8 ? values.map((value) => (value * 255) / most) : values;
  return { height, width, channels, values: full, white: depth === 16 ? undefined : 255 };
}

// Values of 1, 2 or 4 bits; each row starts with a new byte.
function unpack(data, height, width, bits) {
  const values = new Uint8Array(height * width);
  const ofRow = Math.ceil((width * bits) / 8);
  const perByte = 8 / bits;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const byte = data[y * ofRow + Math.floor(x / perByte)];
      values[y * width + x] = (byte >> (8 - bits * ((x % perByte) + 1))) & (2 ** bits - 1);
    }
  }
  return values;
}

function coloured(indices, palette) {
  const values = new Uint8Array(indices.length * 3);
  indices.forEach((index, at) => {
    if (!palette[index]) throw new Fault("uses a colour that its colour table does not have; save it again");
    values.set(palette[index].slice(0, 3), at * 3);
  });
  return values;
}

function decodeTiff(bytes) {
  if (libraries.hasSeveralPages(bytes)) throw new Fault("has several images; save one particle in each file");
  const [page] = libraries.decodeTiff(bytes, { ignoreImageData: true, pages: [0] });
  checkSize(page.height, page.width);
  const unread = reasonAgainst(page);
  if (unread) throw new Fault(`${unread}; ${AS_GREY}`);
  const [{ height, width, data: values }] = libraries.decodeTiff(bytes, { pages: [0] });
  const bits = page.bitsPerSample;
  const full = bits === 1 ? values.map((value) => value * 255) : values;
  return { height, width, channels: page.samplesPerPixel, values: full, white: bits <= 8 ? 255 : undefined };
}

// Why a page of a TIFF file is not read; "" if it is. The library would read some of these kinds wrongly.
function reasonAgainst(page) {
  const { type, bitsPerSample: bits, sampleFormat: format, samplesPerPixel: samples } = page;
  if (type > 2 || (type === 2) !== (samples === 3)) return "is neither plain grey nor plain RGB";
  if (type === 2 && (bits !== 8 || page.planarConfiguration !== 1 || page.tiled)) return "is an unusual kind of RGB";
  if (format !== (bits >= 32 ? 3 : 1)) return "has negative or very large whole numbers";
  if (type === 0 && bits !== 8 && bits !== 16) return "has white as its smallest number";
  return "";
}

function withoutAlpha({ height, width, channels, values, white }) {
  const kept = channels < 3 ? 1 : 3;
  if (kept === channels) return { height, width, channels, values, white };
  return { height, width, channels: kept, values: values.filter((_, at) => at % channels < kept), white };
}

// Grey levels in [0, 1]: {height, width, grey}, grey a Float32Array, row after row.
function toGrey({ height, width, channels, values, white }) {
  if (white) {
    const levels = channels === 3 ? luminance(values) : values;
    return { height, width, grey: Float32Array.from(levels, (level) => level / white) };
  }
  return { height, width, grey: stretched(values) };
}

function luminance(values) {
  const levels = new Uint8Array(values.length / 3);
  for (let at = 0; at < levels.length; at++) {
    const share = LUMINANCE.reduce((sum, weight, channel) => sum + (weight * values[at * 3 + channel]) / 255, 0);
    levels[at] = roundHalfEven(share * 255);
  }
  return levels;
}

// 16 bits and floats have no common white: the smallest level becomes 0 and the largest 65535 of 65535.
function stretched(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) throw new Fault("has values that are no finite numbers; save it again without them");
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const levels = (value) => roundHalfEven(((value - low) / (high - low)) * 65535) / 65535;
  return Float32Array.from(values, high > low ? levels : () => 0);
}

// 1 where any channel is not 0: {height, width, mask}, mask a Uint8Array, row after row.
function toMask({ height, width, channels, values }) {
  const mask = new Uint8Array(height * width);
  values.forEach((value, at) => {
    if (value !== 0) mask[Math.floor(at / channels)] = 1;
  });
  return { height, width, mask };
}

// As NumPy and Python round: a half goes to the even neighbour.
function roundHalfEven(value) {
  const below = Math.floor(value);
  const rest = value - below;
  if (rest === 0.5) return below % 2 === 0 ? below : below + 1;
  return rest < 0.5 ? below : below + 1;
}
