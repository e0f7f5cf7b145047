"use strict";
// Reads crops and masks from PNG and TIFF files, with the same grey levels as lipnet/sources/images.py. The decoder of the
// browser is not used: it adapts grey levels to the colours of the screen and has no 16 bits.

const MOST_PIXELS = 2 ** 24; // of one crop
const LUMINANCE = [0.2125, 0.7154, 0.0721]; // weights of red, green and blue, ITU-R BT.709
const SUFFIXES = [".png", ".tif", ".tiff"];
const TAGS = { bits: 258, compression: 259, meaning: 262, orientation: 274, planar: 284 }; // of TIFF
const [WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE] = [0, 1, 2, 3]; // meaning of the numbers
const [UNSIGNED, FLOAT] = [1, 3]; // format of the numbers
const LOSSLESS = [1, 5, 8, 32773, 32946]; // none, LZW, Deflate, PackBits, Deflate
const SLACK = 1e-6; // of white: how far rounding may bring a sample above white or below 0
const AS_GREY = "save it as a grey PNG of 8 or 16 bits";

// What is wrong with one file, in words for the user, with the cure.
class Fault extends Error {}

function suffixOf(name) {
  const file = name.slice(name.lastIndexOf("/") + 1);
  const dot = file.lastIndexOf(".");
  return dot > 0 ? file.slice(dot).toLowerCase() : "";
}

// Content of an image file: {height, width, channels, values, white, numbers}. Values are as viewers show them; white is
// undefined where the format has none. Numbers, if given, are what the file stores instead, which counts in a mask.
async function decode(bytes, name) {
  const suffix = suffixOf(name);
  if (!SUFFIXES.includes(suffix)) throw new Fault(`format '${suffix}' is not read here; save it as PNG or TIFF`);
  const [kind, read] = suffix === ".png" ? ["PNG", decodePng] : ["TIFF", decodeTiff];
  try {
    return withoutAlpha(await read(bytes));
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
  if (palette) {
    const numbers = isBlackAndWhite(values, palette) ? values.map((index) => 1 - index) : values;
    return { height, width, channels: 3, values: coloured(values, palette), white: 255, numbers };
  }
  const most = 2 ** depth - 1;
  const full = depth < 8 ? values.map((value) => (value * 255) / most) : values;
  return { height, width, channels, values: full, white: depth === 16 ? 65535 : 255 };
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

// Whether a colour table holds white and black only, in this order: nobody sees the indices then.
function isBlackAndWhite(indices, palette) {
  const plain = palette.every((colour, at) => colour.slice(0, 3).every((level) => level === (at === 0 ? 255 : 0)));
  return plain && palette.length >= 2 && indices.every((index) => index <= 1);
}

function coloured(indices, palette) {
  const values = new Uint8Array(indices.length * 3);
  indices.forEach((index, at) => {
    if (!palette[index]) throw new Fault("uses a colour that its colour table does not have; save it again");
    values.set(palette[index].slice(0, 3), at * 3);
  });
  return values;
}

async function decodeTiff(bytes) {
  const tiff = await libraries.openTiff(bytes.buffer);
  const page = await tiff.getImage(0);
  const [height, width, channels] = [page.getHeight(), page.getWidth(), page.getSamplesPerPixel()];
  checkSize(height, width);
  if (page.fileDirectory.nextIFDByteOffset) throw new Fault("has several images; save one particle in each file");
  const fields = page.fileDirectory.actualizedFields;
  if (!fields.has(TAGS.bits)) fields.set(TAGS.bits, [1]); // by the standard, if the file does not say it
  const [bits, format] = [page.getBitsPerSample(), page.getSampleFormat()];
  const unread = reasonAgainst(fields, channels, bits, format);
  if (unread) throw new Fault(`${unread}; ${AS_GREY}`);
  const values = await page.readRasters({ interleave: true });
  const inverted = fields.get(TAGS.meaning) === WHITE_IS_ZERO && format === UNSIGNED;
  const shown = inverted ? values.map((value) => 2 ** bits - 1 - value) : values;
  if (bits === 1) return { height, width, channels, values: shown.map((value) => value * 255), white: 255 };
  return { height, width, channels, values: shown, white: whiteOf(format, bits), numbers: values };
}

// The value that is white; undefined where the format has none.
function whiteOf(format, bits) {
  if (format === FLOAT) return 1;
  return format === UNSIGNED && bits <= 16 ? 2 ** bits - 1 : undefined;
}

// Why a TIFF file is not read; "" if it is. `lipnet predict` reads some of these kinds.
function reasonAgainst(fields, channels, bits, format) {
  const [meaning, compression] = [fields.get(TAGS.meaning), fields.get(TAGS.compression) ?? 1];
  if (meaning === PALETTE) return "has a colour table";
  if (![WHITE_IS_ZERO, BLACK_IS_ZERO, RGB].includes(meaning)) return "is neither grey nor RGB";
  if (meaning !== RGB && channels !== 1) return "has more than one channel";
  if ((fields.get(TAGS.orientation) ?? 1) !== 1) return "is stored turned or mirrored";
  if (meaning === WHITE_IS_ZERO && format === FLOAT) return "has floats of which 0 is white";
  const plain = bits === 8 && channels >= 3 && fields.get(TAGS.planar) !== 2;
  if (meaning === RGB && !plain) return "has colours, but not of 8 bits each, pixel by pixel";
  if (!(format === FLOAT ? [32, 64] : [1, 8, 16, 32]).includes(bits)) return `has ${bits} bits`;
  return LOSSLESS.includes(compression) ? "" : `has compression ${compression}`;
}

function withoutAlpha(image) {
  const { channels, values, numbers } = image;
  const kept = channels < 3 ? 1 : 3;
  if (kept === channels) return image;
  const opaque = (all) => all?.filter((_, at) => at % channels < kept);
  return { ...image, channels: kept, values: opaque(values), numbers: opaque(numbers) };
}

// Grey levels in [0, 1]: {height, width, grey}, grey a Float32Array, row after row. The rule is that of the model, as in
// lipnet/sources/formats/grey_levels.py: {rule, bits, low_percent, high_percent}.
function toGrey({ height, width, channels, values, white }, rule) {
  const samples = channels === 3 ? luminance(values) : values;
  for (const value of samples) {
    if (!Number.isFinite(value)) throw new Fault("has values that are no finite numbers; save it again without them");
  }
  const stored = rule.rule === "as_stored";
  const [low, high] = stored ? [0, whiteLevel(samples, white, rule.bits)] : percentiles(samples, rule);
  if (stored && high === 255) return { height, width, grey: Float32Array.from(samples, (value) => value / 255) };
  const level = (value) => roundHalfEven(Math.min(Math.max((value - low) / (high - low), 0), 1) * 65535) / 65535;
  return { height, width, grey: Float32Array.from(samples, high > low ? level : () => 0) };
}

// The sample that is white; samples beyond it, or below black, are refused.
function whiteLevel(samples, white, bits) {
  const cure = "use a model that was trained with source.grey.rule: percentile";
  const level = bits !== null && [undefined, 65535].includes(white) ? 2 ** bits - 1 : white;
  if (level === undefined) throw new Fault(`its samples have no white level, which the model needs; ${cure}`);
  let [low, high] = [Infinity, -Infinity];
  for (const value of samples) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low < -SLACK * level || high > (1 + SLACK) * level) {
    throw new Fault(`has samples from ${low} to ${high}, but the model needs 0 (black) to ${level} (white); correct it, or ${cure}`);
  }
  return level;
}

// Two percentiles, interpolated as NumPy does.
function percentiles(samples, rule) {
  const sorted = Float64Array.from(samples).sort();
  return [rule.low_percent, rule.high_percent].map((percent) => {
    const place = (percent / 100) * (sorted.length - 1);
    const below = Math.floor(place);
    const above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
  });
}

// Where the luminance is half a level, scikit-image may round to the other side: one pixel in 100,000.
function luminance(values) {
  const levels = new Uint8Array(values.length / 3);
  for (let at = 0; at < levels.length; at++) {
    const share = LUMINANCE.reduce((sum, weight, channel) => sum + values[at * 3 + channel] * (1 / 255) * weight, 0);
    levels[at] = roundHalfEven(share * 255);
  }
  return levels;
}

// 1 where a stored number is not 0: {height, width, mask}, mask a Uint8Array, row after row.
function toMask({ height, width, values, numbers = values }) {
  const mask = new Uint8Array(height * width);
  const channels = numbers.length / mask.length;
  numbers.forEach((value, at) => {
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
