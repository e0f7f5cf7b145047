"use strict";
// Cuts the input of the network from a particle, as lipnet/samples/crops.py and particles.py do, level by level.

const CHANNELS = { surrounding: ["surrounding"], cropped: ["cropped"], masked: ["masked"], both: ["cropped", "masked"] };

// The ellipse inscribed in the box inside the padding; it touches all four sides.
function ellipse(height, width, padding) {
  const mask = new Uint8Array(height * width);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [below, right] = [Math.abs(y + 0.5 - height / 2), Math.abs(x + 0.5 - width / 2)];
      const [down, across] = [below / (height / 2 - padding), right / (width / 2 - padding)];
      // A test of pixel centres alone would lose the tips of an elongated ellipse.
      const onAxis = (right <= 0.5 && down < 1) || (below <= 0.5 && across < 1);
      if (onAxis || down * down + across * across <= 1) mask[y * width + x] = 1;
    }
  }
  return mask;
}

// Smallest box that contains the mask: {top, left, height, width}; null if the mask is empty.
function boundingBox(mask, height, width) {
  let [top, left, bottom, right] = [height, width, -1, -1];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (mask[y * width + x]) {
        [top, bottom] = [Math.min(top, y), y];
        [left, right] = [Math.min(left, x), Math.max(right, x)];
      }
    }
  }
  return bottom < 0 ? null : { top, left, height: bottom - top + 1, width: right - left + 1 };
}

// The part of an image that a mode shows.
function cut({ height, width, grey }, mask, box, mode) {
  if (mode === "surrounding") return { height, width, grey };
  const part = new Float32Array(box.height * box.width);
  for (let y = 0; y < box.height; y++) {
    for (let x = 0; x < box.width; x++) {
      const at = (box.top + y) * width + box.left + x;
      if (mode === "cropped" || mask[at]) part[y * box.width + x] = grey[at];
    }
  }
  return { height: box.height, width: box.width, grey: part };
}

// Weights of the source pixels of every target pixel: Pillow's triangle filter, widened by the factor of reduction.
function weightsOf(source, target) {
  const scale = source / target;
  const reach = Math.max(scale, 1);
  return Array.from({ length: target }, (_, at) => {
    const centre = (at + 0.5) * scale;
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const end = Math.min(Math.trunc(centre + reach + 0.5), source);
    const weights = Array.from({ length: end - first }, (_, step) =>
      Math.max(1 - Math.abs((step + first - centre + 0.5) * (1 / reach)), 0),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => weight / total) };
  });
}

// Change the length of the lines of an image: n lines that start at line * ofLine and step by ofStep.
function resizeLines(grey, n, source, target, [ofLine, ofStep], [toLine, toStep]) {
  if (source === target) return grey;
  const resized = new Float32Array(n * target);
  weightsOf(source, target).forEach(({ first, weights }, at) => {
    for (let line = 0; line < n; line++) {
      let sum = 0;
      weights.forEach((weight, step) => (sum += grey[line * ofLine + (first + step) * ofStep] * weight));
      resized[line * toLine + at * toStep] = sum;
    }
  });
  return resized;
}

function resizeWidth({ height, width, grey }, to) {
  return { height, width: to, grey: resizeLines(grey, height, width, to, [width, 1], [to, 1]) };
}

function resizeHeight({ height, width, grey }, to) {
  return { height: to, width, grey: resizeLines(grey, width, height, to, [1, width], [1, width]) };
}

// Levels 0 to 255 of an image resized by Pillow's BILINEAR. Since version 13, Pillow starts with the height if it shrinks by
// more than twice as many pixels as the width; the order changes the last bit of a sum, and so a level now and then.
function resize(part, toHeight, toWidth) {
  const heightFirst = part.height - toHeight > 2 * Math.max(part.width - toWidth, 0);
  const { grey } = heightFirst
    ? resizeWidth(resizeHeight(part, toHeight), toWidth)
    : resizeHeight(resizeWidth(part, toWidth), toHeight);
  return Uint8Array.from(grey, (level) => roundHalfEven(Math.fround(Math.min(Math.max(level, 0), 1) * 255)));
}

// Levels of a square of size_px; at constant scale, the particle is centred on black.
function toSize(part, { size_px: size, scale, field_px: field }) {
  if (scale === "fit") return resize(part, size, size);
  const longest = Math.max(part.height, part.width);
  if (longest > field) {
    throw new Fault(`${longest} px across, but the model sees ${field} px; it is for smaller particles`);
  }
  const [height, width] = [part.height, part.width].map((side) => Math.max(roundHalfEven((side * size) / field), 1));
  const [top, left] = [height, width].map((side) => Math.floor((size - side) / 2));
  const small = resize(part, height, width);
  const square = new Uint8Array(size * size);
  for (let y = 0; y < height; y++) square.set(small.subarray(y * width, (y + 1) * width), (top + y) * size + left);
  return square;
}

// Levels of the network's input, shape (size_px, size_px, channels).
function cropOf(image, mask, box, input) {
  const layers = CHANNELS[input.mode].map((mode) => toSize(cut(image, mask, box, mode), input));
  const levels = new Uint8Array(layers.length * layers[0].length);
  layers.forEach((layer, channel) => layer.forEach((level, at) => (levels[at * layers.length + channel] = level)));
  return levels;
}
