// LiteRT.js from npm as the page uses it, into a folder (default: litert/): `npm ci && npm run build`.
//
// Of the package's WebAssembly builds only the one that every browser runs is taken: its arithmetic is the same
// everywhere, the others (relaxed SIMD, threads, JSPI) are 9 MB each. It is packed by xz, since git and wheels keep it.

import {execFileSync} from "node:child_process";
import {copyFileSync, mkdirSync, readFileSync} from "node:fs";
import {fileURLToPath} from "node:url";
import {build} from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const wasm = `${here}node_modules/@litertjs/core/wasm/litert_wasm_compat_internal`;
const out = process.argv[2] ?? `${here}litert`;
const {version} = JSON.parse(readFileSync(`${here}node_modules/@litertjs/core/package.json`, "utf8"));
const notice = {js: `/*! LiteRT.js ${version}, Copyright Google LLC, Apache-2.0; see NOTICE.md */`};
const settings = {minify: true, legalComments: "none", charset: "utf8", target: "es2022", banner: notice};

mkdirSync(out, {recursive: true});
await build({
  ...settings,
  stdin: {contents: `export {loadLiteRt, loadAndCompile, getWebGpuDevice, Tensor} from "@litertjs/core";`, resolveDir: here},
  bundle: true,
  format: "esm",
  outfile: `${out}/litert.js`,
});
await build({...settings, entryPoints: [`${wasm}.js`], outfile: `${out}/litert_wasm_compat_internal.js`});
copyFileSync(`${wasm}.wasm`, `${out}/litert_wasm_compat_internal.wasm`);
execFileSync("xz", ["-9e", "--force", `${out}/litert_wasm_compat_internal.wasm`]);
