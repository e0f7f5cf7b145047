"use strict";
// Ties files, networks and results to the elements of the page.

const BATCH = 16; // particles between two steps of the progress bar
const about = JSON.parse(document.querySelector("#about-model").textContent);
const state = { crops: new Map(), masks: new Map(), refused: [], rows: [], sessions: null };
const at = (selector) => document.querySelector(selector);

// Content of a block of the page: gzip in base64. The block is emptied, because it takes much memory.
async function unpackBlock(id) {
  const block = document.getElementById(id);
  const text = atob(block.textContent);
  block.textContent = "";
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Start ONNX Runtime on one thread, without a worker: neither needs more than a page opened from a file.
async function startSessions() {
  const { env, InferenceSession } = libraries.ort;
  env.wasm.numThreads = 1;
  env.wasm.proxy = false;
  env.wasm.wasmBinary = await unpackBlock("runtime");
  const sessions = [];
  for (let fold = 0; fold < about.models.length; fold++) {
    say(`Loading model ${fold + 1} of ${about.models.length} ...`);
    sessions.push(await InferenceSession.create(await unpackBlock(`model-${fold}`), { executionProviders: ["wasm"] }));
    await repaint();
  }
  return sessions;
}

const repaint = () => new Promise((resolve) => setTimeout(resolve));
const say = (text) => (at("#status").textContent = text);
const numberIn = (selector) => Number(at(selector).value) || 0;

function showProgress(done, of) {
  at("#bar").value = of ? done / of : 0;
  say(`${done} of ${of} particles`);
}

// Read a batch; faulty particles go to the list of faults.
async function readBatch(ids, padding, faults) {
  const particles = [];
  for (const id of ids) {
    try {
      particles.push(await readParticle(id, state.crops, state.masks, padding, about));
    } catch (error) {
      if (!(error instanceof Fault) && error.name !== "NotReadableError" && error.name !== "NotFoundError") throw error;
      const reason = error instanceof Fault ? error.message : "the file was moved or changed; choose it again";
      faults.push({ id, reason });
    }
  }
  return particles;
}

async function classifyBatch(particles, abstainBelow) {
  if (!particles.length) return [];
  const byFold = await probabilitiesOf(state.sessions, particles.map((one) => one.levels), about);
  return particles.map((one, index) => ({
    ...one,
    ...rowOf(byFold.map((rows) => rows[index]), about.rules, about.classes, abstainBelow),
  }));
}

async function classifyAll() {
  const [padding, abstainBelow, faults, rows] = [numberIn("#padding"), numberIn("#abstain"), [...state.refused], []];
  const ids = [...state.crops.keys()].sort(byPath);
  state.sessions ??= await startSessions();
  for (let start = 0; start < ids.length; start += BATCH) {
    showProgress(start, ids.length);
    await repaint();
    const particles = await readBatch(ids.slice(start, start + BATCH), padding, faults);
    rows.push(...(await classifyBatch(particles, abstainBelow)));
  }
  showProgress(ids.length, ids.length);
  showResults(rows, faults, padding);
}

function showResults(rows, faults, padding) {
  state.rows = rows;
  showFaults(faults);
  at("#results").hidden = false;
  at("#classified").hidden = rows.length === 0;
  say(`Done: ${counted(rows.length, "particle")} classified, ${counted(faults.length, "file")} not used.`);
  if (!rows.length) return;
  showCounts(rows, about.classes);
  at("#notes").replaceChildren(...asItems(notesOn(rows, padding, about)));
  at("#noted").hidden = at("#notes").children.length === 0;
  showTable(rows, at("#order").value, about);
}

// A fault of the page or of the browser, not of a file.
function failed(error) {
  say(`Something went wrong: ${error.message}. Reload the page; if that does not help, use a newer browser.`);
}

async function whileBusy(work) {
  const controls = document.querySelectorAll("button, input, select");
  controls.forEach((control) => (control.disabled = true));
  at("#bar").hidden = false;
  try {
    await work();
  } catch (error) {
    failed(error);
  }
  controls.forEach((control) => (control.disabled = false));
  at("#bar").hidden = true;
  at("#classify").disabled = state.crops.size === 0;
}

function showFiles() {
  for (const kind of ["crops", "masks"]) {
    const n = state[kind].size;
    at(`#n-${kind}`).textContent = n ? counted(n, "file") : "none yet";
  }
  at("#classify").disabled = state.crops.size === 0;
  showFaults(state.refused);
  at("#results").hidden = state.refused.length === 0;
  at("#classified").hidden = true;
  state.rows = [];
  say("");
}

function take(kind, found) {
  state.refused.push(...add(state[kind], found));
  showFiles();
}

function clear() {
  state.crops.clear();
  state.masks.clear();
  state.refused = [];
  showFiles();
}

function listenTo(kind) {
  const zone = at(`#drop-${kind}`);
  zone.addEventListener("dragover", () => zone.classList.add("over"));
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    zone.classList.remove("over");
    whileBusy(async () => take(kind, await fromDrop(event.dataTransfer)));
  });
  for (const input of zone.querySelectorAll("input")) {
    input.addEventListener("change", () => {
      take(kind, fromInput(input));
      input.value = ""; // so that the same files can be chosen again
    });
  }
}

// A file that is dropped beside a zone would replace the page.
for (const type of ["dragover", "drop"]) document.addEventListener(type, (event) => event.preventDefault());
listenTo("crops");
listenTo("masks");
at("#classify").addEventListener("click", () => {
  if (at("#padding").reportValidity() && at("#abstain").reportValidity()) whileBusy(classifyAll);
});
at("#clear").addEventListener("click", clear);
at("#order").addEventListener("change", () => showTable(state.rows, at("#order").value, about));
at("#save").addEventListener("click", () => save(`${about.problem}_predictions.csv`, toCsv(state.rows, about.classes)));
clear();
