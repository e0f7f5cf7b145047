"use strict";
// Files that were dropped or chosen, and the particles in them.

// Names as in `lipnet predict`: the path below the folder, or the name of a single file.
const idOf = (path) => path.replace(/^\/+/, "").split("/").slice(1).join("/") || path.replace(/^\/+/, "");

// Parts of paths are compared one by one, as Python compares paths.
function byPath(one, other) {
  const [left, right] = [one.split("/"), other.split("/")];
  const at = left.findIndex((part, index) => part !== right[index]);
  if (at < 0) return left.length - right.length;
  return right[at] === undefined || left[at] > right[at] ? 1 : -1;
}

const isHidden = (id) => /(^|\/)(\.[^/]*|Thumbs\.db)$/i.test(id); // systems put such files into folders

// Add files to a map of id -> File. Returns what was not added, with the reason.
function add(files, found) {
  const faults = [];
  for (const { id, file } of found.filter((one) => !isHidden(one.id))) {
    if (!files.has(id)) files.set(id, file);
    else faults.push({ id, reason: "there is another file of this name, which is used; rename one of them" });
  }
  return faults;
}

function fromInput(input) {
  return [...input.files].map((file) => ({ id: idOf(file.webkitRelativePath || file.name), file }));
}

// Files of a drop, folders included. The list of items must be read before the first await.
async function fromDrop(transfer) {
  const items = [...transfer.items].filter((item) => item.kind === "file");
  const found = items.map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
  const lists = await Promise.all(
    found.map(([entry, file]) => (entry?.isDirectory ? filesBelow(entry) : [{ id: file.name, file }])),
  );
  return lists.flat();
}

async function filesBelow(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [{ id: idOf(entry.fullPath), file }];
  }
  const reader = entry.createReader();
  const lists = [];
  let part;
  do {
    part = await new Promise((resolve, reject) => reader.readEntries(resolve, reject)); // in parts, the last one empty
    lists.push(part);
  } while (part.length);
  return (await Promise.all(lists.flat().map(filesBelow))).flat();
}

const bytesOf = async (file) => new Uint8Array(await file.arrayBuffer());

// The mask with the name of the crop, or else with its name and another suffix.
function maskFileOf(id, masks) {
  const stem = id.slice(0, id.length - suffixOf(id).length);
  const name = [id, ...SUFFIXES.map((suffix) => stem + suffix)].find((candidate) => masks.has(candidate));
  if (!name) throw new Fault(`there is no mask named '${id}'; add it, or remove all masks`);
  return [name, masks.get(name)];
}

async function maskOf(id, masks, image) {
  const [name, file] = maskFileOf(id, masks);
  try {
    const { height, width, mask } = toMask(await decode(await bytesOf(file), name));
    if (height !== image.height || width !== image.width) {
      const shapes = `${height} x ${width} px, but the crop is ${image.height} x ${image.width} px`;
      throw new Fault(`${shapes}; give masks of its size`);
    }
    return mask;
  } catch (error) {
    throw error instanceof Fault ? new Fault(`its mask: ${error.message}`) : error;
  }
}

// One particle, ready for the networks: {id, levels, estimated, outside}.
async function readParticle(id, crops, masks, padding, about) {
  const image = toGrey(await decode(await bytesOf(crops.get(id)), id), about.grey);
  const shape = `${image.height} x ${image.width} px`;
  if (2 * padding >= Math.min(image.height, image.width)) {
    throw new Fault(`a surrounding of ${padding} px leaves nothing of ${shape}; correct its width`);
  }
  const estimated = masks.size === 0;
  const mask = estimated ? ellipse(image.height, image.width, padding) : await maskOf(id, masks, image);
  const box = boundingBox(mask, image.height, image.width);
  if (!box) throw new Fault("its mask is empty; mark the particle with numbers above 0");
  const levels = cropOf(image, mask, box, about.input);
  return { id, levels, estimated, outside: outsideOf(measure(image, mask, box), about.training_range) };
}

// What is compared with the training particles: the box, and mean and spread of the grey levels inside the mask.
function measure({ grey }, mask, box) {
  const inside = Array.from(grey.filter((_, at) => mask[at]));
  const level = mean(inside);
  const spread = Math.sqrt(mean(inside.map((value) => (value - level) ** 2)));
  return { height_px: box.height, width_px: box.width, grey_mean: level, grey_sd: spread };
}

// What lies outside the range of the training particles, in the order of the ranges: [{name, value, low, high}].
function outsideOf(measured, ranges) {
  const compared = ranges.map(([name, low, high]) => ({ name, value: measured[name], low, high }));
  return compared.filter(({ value, low, high }) => value < low || value > high);
}

function inWords({ name, value, low, high }) {
  return `${name} ${Number(value.toFixed(3))} (training: ${low} to ${high})`;
}
