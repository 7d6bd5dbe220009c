// npm run bench:data: reading a large dataset the first and the second time (seconds, peak of resident memory), and tokenizing on one
// core beside the Python package `tokenizers`, one text at a time. ROWS as an argument, default 60000; `peer` for the second part alone.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import { runPython } from '../support/python.ts';
import { makeRows } from './make-rows.ts';

const execute = promisify(execFile);
const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const [wanted = '60000'] = process.argv.slice(2);
const TEXTS = 4000;
const ROUNDS = 3;

const model = await resolveModel('smollm2-135m');
const work = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-bench-data-'));
const mb = (bytes: number) => `${(bytes / 1e6).toFixed(0)} MB`;

async function whole(rows: number): Promise<void> {
  const file = path.join(work, 'rows.jsonl');
  await makeRows(file, rows);
  console.log(`${rows} rows, ${mb(fs.statSync(file).size)}`);
  for (const turn of ['first', 'second']) {
    const args = ['--import', 'tsx', here('./data-once.ts'), file, '--model', model];
    const env = { ...process.env, EFFILORA_CACHE: path.join(work, 'cache') };
    const { stdout, stderr } = await execute(process.execPath, args, { env, maxBuffer: 1 << 26 });
    const { seconds, peakBytes } = JSON.parse(stdout) as { seconds: number; peakBytes: number };
    console.log(`${turn} time: ${seconds.toFixed(2)} s, peak ${mb(peakBytes)}`);
    if (turn === 'first') console.log(stderr.trim());
  }
}

/** Both in turn, the best of the rounds each. */
async function besidePython(): Promise<void> {
  const file = path.join(work, 'texts.jsonl');
  await makeRows(file, TEXTS, 1);
  const texts = fs.readFileSync(file, 'utf8').trim().split('\n');
  const { tokenizer, close } = await openTextModel(model);
  const [description, list] = [path.join(work, 'tokenizer.json'), path.join(work, 'texts.json')];
  fs.writeFileSync(description, JSON.stringify(tokenizer!.description.json));
  fs.writeFileSync(list, JSON.stringify(texts));
  const characters = texts.reduce((sum, { length }) => sum + length, 0);
  const best = { ours: Infinity, theirs: Infinity };
  const tokens = { ours: 0, theirs: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    for (const text of texts.slice(0, 100)) tokenizer!.encode(text);
    const started = performance.now();
    tokens.ours = texts.reduce((sum, text) => sum + tokenizer!.encode(text).length, 0);
    best.ours = Math.min(best.ours, (performance.now() - started) / 1000);
    const peer = JSON.parse(await runPython(here('./encode_texts.py'), [description, list])) as {
      seconds: number;
      tokens: number;
    };
    best.theirs = Math.min(best.theirs, peer.seconds);
    tokens.theirs = peer.tokens;
  }
  await close();
  for (const who of ['ours', 'theirs'] as const)
    console.log(`${who}: ${(characters / best[who] / 1e6).toFixed(2)} MB/s on one core, ${tokens[who]} tokens`);
}

try {
  if (wanted !== 'peer') await whole(Number(wanted));
  await besidePython();
} finally {
  fs.rmSync(work, { recursive: true });
}
