/** Writes the published JSON Schemas: `node shared/scripts/write-schemas.ts`. A unit test holds them equal to the code. */
import { writeFileSync } from 'node:fs';
import { publishedSchemas } from '../src/plan/published.ts';

for (const { file, text } of publishedSchemas())
  writeFileSync(new URL(`../schema/${file}`, import.meta.url), text);
