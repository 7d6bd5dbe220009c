import { appendFileSync, closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const SITES = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj'];

export interface Shape {
  layers: number;
  /** heads a site */
  heads: number;
  steps: number;
  headsEvery: number;
}

const namesOf = ({ layers, heads }: Shape) =>
  Array.from({ length: layers }, (_, layer) =>
    SITES.flatMap((site) => Array.from({ length: heads }, (_, head) => `${layer}.${site}.${head}`)),
  ).flat();

/** A metrics.jsonl line as a trainer would write it, from a formula. */
export function metricsLine(step: number, { steps }: Shape): string {
  const loss = 2.5 * Math.exp((-3 * step) / steps) + 0.4 + 0.05 * Math.sin(step * 1.7);
  const record = {
    step,
    loss,
    learningRate: 1e-3 * 0.5 * (1 + Math.cos((Math.PI * step) / steps)),
    gradNorm: 0.5 + 0.2 * Math.sin(step),
    tokens: { label: step * 300, all: step * 1000 },
    tokensPerSecond: 480 + 20 * Math.sin(step / 9),
    memory: 2.1e9,
    secondsLeft: (steps - step) * 0.5,
    ...(step % Math.max(1, Math.floor(steps / 12)) === 0 ? { evalLoss: loss + 0.08 } : {}),
  };
  return `${JSON.stringify(record)}\n`;
}

/** A heads.jsonl line: later layers matter more, values most, and the least important 60 % freeze after a fifth of the run. */
export function headsLine(step: number, shape: Shape, names = namesOf(shape)): string {
  const importance: Record<string, number> = {};
  const routerShare: Record<string, number> = {};
  const raised = 1 - Math.exp((-6 * step) / shape.steps);
  names.forEach((name, index) => {
    const wave = 1 + Math.sin(index * 12.9898) + (name.includes('v_proj') ? 1.5 : 0) + index / names.length;
    importance[name] = Number((1e-4 * raised * wave * (1 + 0.1 * Math.sin(step / 7 + index))).toPrecision(5));
    routerShare[name] = Number((1 / shape.heads + 0.02 * Math.sin(index + step / 50)).toPrecision(4));
  });
  const bar = [...Object.values(importance)].sort((a, b) => a - b)[Math.floor(0.6 * names.length)]!;
  const frozen = step > shape.steps / 5 ? names.filter((name) => importance[name]! < bar) : [];
  return `${JSON.stringify({ step, importance, frozen, routerShare })}\n`;
}

/** A whole run's files. */
export function writeRun(folder: string, shape: Shape): void {
  mkdirSync(folder, { recursive: true });
  const names = namesOf(shape);
  const steps = Array.from({ length: shape.steps }, (_, index) => index + 1);
  writeFileSync(join(folder, 'metrics.jsonl'), steps.map((step) => metricsLine(step, shape)).join(''));
  const heads = openSync(join(folder, 'heads.jsonl'), 'w');
  for (const step of steps) if (step % shape.headsEvery === 0) writeSync(heads, headsLine(step, shape, names));
  closeSync(heads);
  const prompt = 'How many coins do 9 tickets cost at 9 coins each?';
  const sample = { step: shape.steps, prompt, answer: '9 * 9 = 81 coins.', expected: '81 coins.' };
  writeFileSync(join(folder, 'samples.jsonl'), `${JSON.stringify(sample)}\n`);
  appendFileSync(join(folder, 'trainer.log'), 'Engine: tensorflow on a processor\nCheckpoint at step 10\n');
}
