// Bundles the page into the directory given: `node build.mjs OUT`.
import { copyFileSync, mkdirSync } from 'node:fs';
import * as esbuild from 'esbuild';

const out = process.argv[2] ?? 'dist';
mkdirSync(out, { recursive: true });
copyFileSync('index.html', `${out}/index.html`);
await esbuild.build({
  entryPoints: ['src/main.tsx'],
  outfile: `${out}/main.js`,
  bundle: true,
  format: 'iife',
  target: 'es2022',
  jsx: 'automatic',
  conditions: ['import'],
  define: { 'process.env.NODE_ENV': '"production"', global: 'globalThis' },
  loader: { '.svg': 'dataurl', '.png': 'dataurl', '.woff': 'dataurl', '.woff2': 'dataurl', '.ttf': 'dataurl' },
  logLevel: 'error',
});
