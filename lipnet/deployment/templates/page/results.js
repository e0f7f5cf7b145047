"use strict";
// The table of results, on the page and as CSV.

const MOST_ROWS = 300; // on the page; the CSV has all
const ORDERS = {
  id: () => 0,
  uncertain: (one, other) => one.probability - other.probability,
  outside: (one, other) => other.outside.length - one.outside.length,
};

// As pandas writes it; the first columns are those of `lipnet predict --no-features`.
function toCsv(rows, classes) {
  const header = ["id", "class", ...classes.map((name) => `p_${name}`), "entropy", "disagreement", "abstain", "outside"];
  const lines = rows.map((row) => [
    ...[row.id, row.class, ...row.probabilities],
    ...[row.entropy, row.disagreement, row.abstain, row.outside.map(({ name }) => name).join("; ")],
  ]);
  return [header, ...lines].map((cells) => `${cells.map(quoted).join(",")}\n`).join("");
}

function quoted(value) {
  const text = String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// The crop as the network sees it; of two channels, the first.
function picture(levels, input, id) {
  const { size_px: size, mode } = input;
  const canvas = element("canvas", undefined, "crop");
  [canvas.width, canvas.height] = [size, size];
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Crop ${id}`);
  const pixels = new ImageData(size, size);
  const channels = CHANNELS[mode].length;
  for (let at = 0; at < size * size; at++) {
    const level = levels[at * channels];
    pixels.data.set([level, level, level, 255], at * 4);
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

function tableRow(row, input) {
  const line = element("tr");
  const crop = element("td");
  crop.append(picture(row.levels, input, row.id));
  const id = element("th", row.id, "id");
  id.scope = "row";
  const said = element("td", row.abstain ? `${row.class} (below the limit)` : row.class);
  const numbers = row.probabilities.map((p) => element("td", p.toFixed(3), "number"));
  line.append(crop, id, said, ...numbers, element("td", row.outside.map(inWords).join("; "), "note"));
  return line;
}

function showTable(rows, order, about) {
  const shown = [...rows].sort(ORDERS[order]).slice(0, MOST_ROWS);
  document.querySelector("#table tbody").replaceChildren(...shown.map((row) => tableRow(row, about.input)));
  const hidden = rows.length - shown.length;
  document.querySelector("#hidden").textContent = hidden ? `${hidden} more particles are in the CSV only.` : "";
}

function showCounts(rows, classes) {
  const counts = classes.map((name) => {
    const n = rows.filter((row) => row.class === name).length;
    const box = element("div");
    const share = element("small", `${((100 * n) / rows.length).toFixed(1)} %`);
    const number = element("dd", `${n} `);
    number.append(share);
    box.append(element("dt", name), number);
    return box;
  });
  document.querySelector("#counts").replaceChildren(...counts);
}

// What the user should know about all results; as the notes of `lipnet predict`.
function notesOn(rows, padding, about) {
  const estimated = rows.filter((row) => row.estimated).length;
  const unlike = rows.filter((row) => row.outside.length).length;
  const needsMasks = CHANNELS[about.input.mode].includes("masked");
  return [
    ...(estimated && needsMasks
      ? [`${counted(estimated, "particle")} without a mask, which the model needs; an ellipse was used instead.`]
      : []),
    ...(about.padding_px && !padding
      ? [
          `No surrounding was given, but the training particles had one of ${about.padding_px} px. ` +
            "If your crops show one, give its width above and classify them again.",
        ]
      : []),
    ...(unlike
      ? [
          `${counted(unlike, "particle")} outside the range of the training particles in size, brightness or contrast. ` +
            "Do not trust the class there.",
        ]
      : []),
  ];
}

const asItems = (texts) => texts.map((text) => element("li", text));

const counted = (n, name) => `${n} ${name}${n === 1 ? "" : "s"}`;

function showFaults(faults) {
  const list = document.querySelector("#faults");
  list.replaceChildren(...asItems(faults.map(({ id, reason }) => `${id}: ${reason}`)));
  document.querySelector("#faulty").hidden = faults.length === 0;
  document.querySelector("#n-faults").textContent = `${counted(faults.length, "file")} not used`;
}

function save(name, text) {
  const link = element("a");
  link.download = name;
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser may still be writing
}
