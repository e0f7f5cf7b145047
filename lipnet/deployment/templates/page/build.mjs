// Makes libraries.js, runtime.wasm and licences.txt for `lipnet export --page`: npm ci && npm run build
import { copyFileSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

await build({
  entryPoints: ["libraries.mjs"],
  outfile: "libraries.js",
  bundle: true,
  minify: true,
  format: "iife",
  globalName: "libraries",
  target: "es2022",
  charset: "ascii",
  define: { "import.meta.url": '""' }, // ONNX Runtime looks for files beside its script; the page has none
});
copyFileSync("node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm", "runtime.wasm");

const { packages } = JSON.parse(readFileSync("package-lock.json"));
const used = Object.entries(packages).filter(([folder, about]) => folder && !about.dev && !about.devOptional);
const texts = used.map(([folder]) => {
  const { name, version, license, author } = JSON.parse(readFileSync(`${folder}/package.json`));
  const file = readdirSync(folder).find((found) => /^licen[cs]e/i.test(found));
  const by = author ? `, by ${author.name ?? author}` : "";
  return `${name} ${version}: ${license}${by}\n\n${file ? readFileSync(`${folder}/${file}`, "utf8").trim() : ""}`;
});
writeFileSync("licences.txt", texts.map((text) => `${text.trim()}\n`).join("\n----\n\n"));
