// Our side of a comparison on one GPU, in a process of its own. Reads one JSON line of options, answers "run N" with N steps' seconds.
import { closeSync, mkdtempSync, openSync, rmSync, truncateSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { packedKernels } from '../../src-main/engine/frozen.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { PackedMatrix } from '../../src-main/engine/packed.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { GGML_TYPES } from '../../src-main/models/gguf/types.ts';
import { randomBatch, randomStep } from '../support/random-step.ts';
import type { GpuOptions } from './webgpu-peer.ts';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { config, rows, length, precision, weights } = JSON.parse((await lines.next()).value as string) as GpuOptions;
await openEngine('webgpu');
const { pool, queue } = await openWebgpu();

// Zeros cost what other weights cost, and a file full of them takes no place.
const folder = mkdtempSync(path.join(os.tmpdir(), 'effilora-zeros-'));
const zeros = path.join(folder, 'zeros');
closeSync(openSync(zeros, 'w'));
truncateSync(zeros, 4 * config.vocabularySize * Math.max(config.hiddenSize, config.intermediateSize));
const format = GGML_TYPES[weights].id;
const step = await randomStep(config, { recompute: true, precision }, (height, width) =>
  PackedMatrix.load(packedKernels()!, { path: zeros, offset: 0, format, rows: height, width }, format),
);
rmSync(folder, { recursive: true });

const batch = randomBatch(config, rows, length);
let count = 0;
for await (const line of lines) {
  const seconds: number[] = [];
  for (let n = Number(line.split(' ')[1]); n > 0; n--) {
    const start = performance.now();
    await step.run(++count, [batch], 1e-4);
    await queue.onSubmittedWorkDone();
    seconds.push((performance.now() - start) / 1000);
  }
  process.stdout.write(`${JSON.stringify({ seconds, peakBytes: pool.peakBytes })}\n`);
}
process.exit(0);
