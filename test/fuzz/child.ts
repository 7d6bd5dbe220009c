// A process that tries inputs `from` to `to` of a target and says each number before and what was wrong after it.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { openTextModel } from '../../src-main/models/open.ts';
import { TINY_MODEL } from '../trainer/support.ts';
import { tryInput, writeInput } from './inputs.ts';

const [seeds, target, from, to] = process.argv.slice(2) as [string, string, string, string];
const folder = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-fuzz-')), 'input');
const file = await openTextModel(TINY_MODEL);
await file.close();
for (let seed = Number(from); seed < Number(to); seed++) {
  const place = writeInput(seeds, target, seed, folder);
  process.send!({ seed });
  const wrong = await tryInput(target, place, file.config);
  if (wrong !== undefined) process.send!({ seed, wrong });
}
fs.rmSync(path.dirname(folder), { recursive: true, force: true });
process.disconnect();
