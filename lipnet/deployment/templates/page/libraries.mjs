// What the page uses of other projects; build.mjs makes one script of it that defines `libraries`.
export * as ort from "onnxruntime-web/wasm";
export { decode as decodePng } from "fast-png";
export { fromArrayBuffer as openTiff } from "geotiff";
