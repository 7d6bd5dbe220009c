import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { headsLine, metricsLine } from './synthetic-run.ts';
import type { Shape } from './synthetic-run.ts';

// Goes on with a run's files at 50 steps a second, until it is killed.
const [folder, json] = process.argv.slice(2);
const shape = JSON.parse(json!) as Shape;
let step = shape.steps;
setInterval(() => {
  step += 1;
  appendFileSync(join(folder!, 'metrics.jsonl'), metricsLine(step, shape));
  if (step % shape.headsEvery === 0) appendFileSync(join(folder!, 'heads.jsonl'), headsLine(step, shape));
}, 20);
