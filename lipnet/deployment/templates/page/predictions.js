"use strict";
// Probabilities of the models of all folds, and the decision rule, as lipnet/deployment/predict.py and rules.py do.

const SMALLEST = 1e-12; // a probability of 0 has no logarithm

const sum = (values) => values.reduce((total, value) => total + value, 0);
const mean = (values) => sum(values) / values.length;
const meanRow = (rows) => rows[0].map((_, k) => mean(rows.map((row) => row[k])));
const normalised = (row) => row.map((value) => value / sum(row));
const indexOfLargest = (row) => row.indexOf(Math.max(...row));

// Undo label smoothing: labels smoothed by e teach q = (1 - e) p + e / K.
function unsmooth(row, smoothing, floor) {
  return normalised(row.map((q) => Math.max((q - smoothing / row.length) / (1 - smoothing), floor)));
}

// Exchange the class shares that probabilities are for.
function shiftPrior(row, given, wanted) {
  return normalised(row.map((p, k) => p * (given[k] > 0 ? wanted[k] / given[k] : 0)));
}

function softmax(logits) {
  const largest = Math.max(...logits);
  return normalised(logits.map((logit) => Math.exp(logit - largest)));
}

const logarithms = (row) => row.map((p) => Math.log(Math.max(p, SMALLEST)));

// Probabilities of one particle by the rule of a fold. stated: by classifier; models: what the rule knows of each.
function applyRule(rule, stated, models) {
  const natural = models[0].natural_prior;
  const wanted = rule.prior ?? natural;
  const goal = models[0].training_prior.map((share, k) => share ** (1 - rule.shift) * wanted[k] ** rule.shift);
  const shifted = stated.map((row, at) => {
    const { label_smoothing: smoothing, floor, training_prior: prior } = models[at];
    return shiftPrior(smoothing ? unsmooth(row, smoothing, floor) : row, prior, natural);
  });
  let p = meanRow(shifted);
  if (rule.bias) p = softmax(logarithms(p).map((logit, k) => logit / rule.temperature + rule.bias[k]));
  p = shiftPrior(p, natural, goal);
  return rule.offsets ? softmax(logarithms(p).map((logit, k) => logit + rule.offsets[k])) : p;
}

// Index of the class of least expected cost; costs[i][j]: of predicting class j for a particle of class i.
function leastCost(ofFolds, rules) {
  const expected = ofFolds.map((row, fold) => row.map((_, j) => sum(row.map((p, i) => p * rules[fold].costs[i][j]))));
  const costs = meanRow(expected);
  return costs.indexOf(Math.min(...costs));
}

// The row of the table for one particle, from its probabilities in each fold. Numbers are rounded as in `lipnet predict`.
function rowOf(ofFolds, rules, classes, abstainBelow) {
  const p = meanRow(ofFolds);
  const predicted = rules.length ? leastCost(ofFolds, rules) : indexOfLargest(p);
  const ofPredicted = ofFolds.map((row) => row[predicted]);
  const spread = Math.sqrt(mean(ofPredicted.map((value) => (value - mean(ofPredicted)) ** 2)));
  return {
    class: classes[predicted],
    probabilities: p.map(rounded),
    probability: p[predicted],
    entropy: rounded(Math.abs(sum(p.map((value) => (value > 0 ? value * Math.log(value) : 0))))),
    disagreement: ofFolds.length > 1 ? rounded(spread) : "",
    abstain: p[predicted] < abstainBelow ? 1 : 0,
  };
}

function rounded(value) {
  return roundHalfEven(value * 1e6) / 1e6;
}

// The crop turned by quarter turns against the clock, and mirrored or not: levels of shape (size, size, channels).
function turned(levels, size, channels, turns, mirrored) {
  const view = new Uint8Array(levels.length);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let [row, column] = [y, mirrored ? size - 1 - x : x];
      for (let turn = 0; turn < turns; turn++) [row, column] = [column, size - 1 - row];
      for (let c = 0; c < channels; c++) view[(y * size + x) * channels + c] = levels[(row * size + column) * channels + c];
    }
  }
  return view;
}

const VIEWS = [0, 1, 2, 3].flatMap((turns) => [false, true].map((mirrored) => [turns, mirrored]));

// Probabilities by one network for a batch of crops: one row for each crop.
async function run(session, crops, input) {
  const channels = CHANNELS[input.mode].length;
  const shape = [crops.length, input.size_px, input.size_px, channels];
  const values = new Float32Array(crops.length * crops[0].length);
  crops.forEach((levels, at) => values.set(Float32Array.from(levels, (level) => level / 255), at * levels.length));
  const tensor = new libraries.ort.Tensor("float32", values, shape);
  const { probabilities } = await session.run({ [input.name]: tensor }, ["probabilities"]);
  const k = probabilities.dims[1];
  return crops.map((_, at) => Array.from(probabilities.data.subarray(at * k, (at + 1) * k)));
}

// The mean over eight views of every crop.
async function runViews(session, crops, input) {
  const channels = CHANNELS[input.mode].length;
  const ofViews = [];
  for (const [turns, mirrored] of VIEWS) {
    const views = crops.map((levels) => turned(levels, input.size_px, channels, turns, mirrored));
    ofViews.push(await run(session, views, input));
  }
  return crops.map((_, at) => meanRow(ofViews.map((rows) => rows[at])));
}

// Probabilities of a batch of crops in each fold: [fold][crop][class].
async function probabilitiesOf(sessions, crops, about) {
  const byFold = [];
  for (const [fold, session] of sessions.entries()) {
    const of = about.rules.length ? about.rules[fold].of : [about.classifier];
    const stated = [];
    for (const name of of) stated.push(await (name === about.views ? runViews : run)(session, crops, about.input));
    const rule = about.rules[fold];
    const models = of.map(() => about.models[fold]);
    const one = (at) => stated.map((rows) => rows[at]);
    byFold.push(crops.map((_, at) => (rule ? applyRule(rule, one(at), models) : one(at)[0])));
  }
  return byFold;
}
