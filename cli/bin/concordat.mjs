#!/usr/bin/env node
// Starts the command line on the Node that the project brings, whichever Node runs this file.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import module, { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const main = join(dirname(fileURLToPath(import.meta.url)), '../src/main.ts');
const major = Number(process.versions.node.split('.')[0]);

if (major >= 24) {
  module.enableCompileCache?.();
  await import(main);
} else {
  const own = join(dirname(createRequire(import.meta.url).resolve('node/package.json')), 'bin/node');
  if (!existsSync(own)) {
    console.error(
      'concordat needs Node 24; the copy it brings is missing: run `npm ci` again with install scripts allowed.',
    );
    process.exit(2);
  }
  const child = spawn(own, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (status) => process.exit(status ?? 1));
}
