// Most probable class of every row, computed by ONNX Runtime in Node: node labels.mjs MODEL (INPUT VALUES SHAPE)... > labels.json
// VALUES is a file of little-endian float32 (float64 for the input `features`); SHAPE is a list such as 1000,28,28,1.
import { readFileSync } from "node:fs";
import * as ort from "onnxruntime-node";

const [model, ...words] = process.argv.slice(2);
const session = await ort.InferenceSession.create(model);
const feeds = {};
for (let at = 0; at < words.length; at += 3) {
  const [input, values, shape] = words.slice(at, at + 3);
  const bytes = readFileSync(values);
  const [type, numbers] = input === "features" ? ["float64", Float64Array] : ["float32", Float32Array];
  const data = new numbers(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
  feeds[input] = new ort.Tensor(type, data, shape.split(",").map(Number));
}
const { probabilities } = await session.run(feeds, ["probabilities"]);

const [rows, classes] = probabilities.dims;
const labels = Array.from({ length: rows }, (_, row) => {
  const of = probabilities.data.subarray(row * classes, (row + 1) * classes);
  return of.indexOf(Math.max(...of));
});
console.log(JSON.stringify(labels));
