// Class of every row by a decision rule, computed by ONNX Runtime in Node: node rules.mjs FOLDER RULE INPUTS > labels.json
// INPUTS is a JSON file: classifier -> {input, values, type, shape}; FOLDER was written by `lipnet export`.
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";

const [folder, name, list] = process.argv.slice(2);
const inputs = JSON.parse(readFileSync(list));
const folds = JSON.parse(readFileSync(`${folder}/rules.json`)).rules[name];
const normalised = (row) => row.map((p) => p / row.reduce((sum, value) => sum + value, 0));
const ratio = (wanted, given) => wanted.map((share, k) => (given[k] > 0 ? share / given[k] : 0));
const times = (row, factors) => normalised(row.map((p, k) => p * factors[k]));
const softmax = (row) => normalised(row.map((logit) => Math.exp(logit - Math.max(...row))));
const log = (row) => row.map((p) => Math.log(Math.max(p, 1e-12)));

async function posterior(classifier, fold) {
  const { input, values, type, shape, about } = inputs[classifier];
  const { training_prior: prior, label_smoothing: e, floor, classes } = about[fold];
  const bytes = readFileSync(values);
  const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const data = type === "float64" ? new Float64Array(buffer) : new Float32Array(buffer);
  const session = await ort.InferenceSession.create(`${folder}/${classifier}_fold${fold}.onnx`);
  const found = (await session.run({ [input]: new ort.Tensor(type, data, shape) }, ["probabilities"])).probabilities;
  const k = classes.length;
  const rows = Array.from({ length: shape[0] }, (_, row) => Array.from(found.data.subarray(row * k, (row + 1) * k)));
  const plain = (row) => (e ? normalised(row.map((q) => Math.max((q - e / k) / (1 - e), floor))) : row);
  return { prior, natural: about[fold].natural_prior, rows: rows.map(plain) };
}

let costs;
for (const [fold, rule] of folds.entries()) {
  const given = await Promise.all(rule.of.map((classifier) => posterior(classifier, fold)));
  const { natural } = given[0];
  const wanted = rule.prior ?? natural;
  const goal = given[0].prior.map((share, k) => share ** (1 - rule.shift) * wanted[k] ** rule.shift);
  const expected = given[0].rows.map((_, row) => {
    const shifted = given.map((one) => times(one.rows[row], ratio(natural, one.prior)));
    let p = natural.map((_, k) => shifted.reduce((sum, one) => sum + one[k], 0) / given.length);
    if (rule.bias) p = softmax(log(p).map((logit, k) => logit / rule.temperature + rule.bias[k]));
    p = times(p, ratio(goal, natural));
    if (rule.offsets) p = softmax(log(p).map((logit, k) => logit + rule.offsets[k]));
    return natural.map((_, j) => p.reduce((sum, value, i) => sum + value * rule.costs[i][j], 0));
  });
  costs = costs ? costs.map((row, at) => row.map((cost, k) => cost + expected[at][k])) : expected;
}
console.log(JSON.stringify(costs.map((row) => row.indexOf(Math.min(...row)))));
