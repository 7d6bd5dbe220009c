import { memoryPlan } from '../../src-main/effilora/memory-plan.ts';
import { GGML_TYPES } from '../../src-main/models/gguf/types.ts';
import { modelFacts } from '../../src-main/tasks/text-plan.ts';
import { engineFacts } from '../../src-main/trainer/engine-facts.ts';
import { configOfPeer, SHAPES, TINY_SHAPES, type Answer, type GpuOptions, type Shape } from '../bench/webgpu-peer.ts';
import { EFFILORA, parametersOf } from '../support/random-step.ts';
import { runProgram } from './child.ts';
import type { Facts } from './facts.ts';
import { programAt } from './place.ts';

/** What came of a few training steps on one side. */
export interface StepRow {
  model: string;
  /** tokens of a step */
  rows: number;
  length: number;
  precision: 'f32' | 'bf16';
  side: 'EffiLoRA Studio' | 'PyTorch and PEFT';
  /** of the quickest of three after the first, with its tokens a second, and the most of the device's memory so far */
  secondsAStep?: number;
  tokensPerSecond?: number;
  peakBytes?: number;
  /** what the plan says of ours */
  predictedBytes?: number;
  /** why there are no figures */
  problem?: string;
}

/** So long one side's four steps may take, seconds. */
const PATIENCE = 900;
/** Of a software GPU, which would take hours for the tokens of a real one. */
const SOFTWARE = { rows: 1, length: 4 };

/** The shapes that a device is asked for. */
export function shapesFor({ software }: Pick<Facts, 'software'>, small: boolean): Shape[] {
  if (small) return TINY_SHAPES;
  return software ? SHAPES.map((shape) => ({ ...shape, ...SOFTWARE })) : SHAPES;
}

const ASKED = `import json, torch, peft, transformers
print(json.dumps({'cuda': torch.cuda.is_available()}))`;

/** Undefined where `python` has what the peer needs; else what is missing, as a sentence. */
export async function missingPeer(python: string): Promise<string | undefined> {
  const { lines } = await runProgram<{ cuda: boolean }>(python, ['-c', ASKED], { seconds: 300 });
  if (lines[0]?.cuda) return undefined;
  const missing = lines[0] ? 'PyTorch finds no CUDA device' : 'there is no PyTorch with PEFT and transformers';
  return `In ${python} ${missing}: nothing was measured beside ours.`;
}

/** Ours on the device, where the plan says that it fits. */
export async function ourSteps(shape: Shape, precision: 'f32' | 'bf16', facts: Facts): Promise<StepRow> {
  const { config, rows, length, weights = precision } = shape;
  const predictedBytes = predicted(shape, precision);
  const row: StepRow = { ...named(shape, precision), side: 'EffiLoRA Studio', predictedBytes };
  const free = facts.freeBytes ?? facts.deviceBytes;
  if (predictedBytes > free)
    return {
      ...row,
      problem: `Skipped: it takes ${gib(predictedBytes)}, and ${gib(free)} of the device's memory are free.`,
    };
  const options: GpuOptions = { config, rows, length, precision, weights };
  const program = programAt('test/bench/webgpu-step.js');
  return withAnswer(row, await answerOf(process.execPath, [program], options));
}

/** PyTorch's LoRA with gradient checkpointing, its weights in the products' precision. */
export async function peerSteps(shape: Shape, precision: 'f32' | 'bf16', python: string): Promise<StepRow> {
  const { config, rows, length } = shape;
  const row: StepRow = { ...named(shape, precision), side: 'PyTorch and PEFT' };
  const options = {
    ...{ config: configOfPeer(config), rows, length, precision, rank: EFFILORA.rank, device: 'cuda', threads: 4 },
    ...{ checkpointing: true, compile: false },
  };
  return withAnswer(row, await answerOf(python, [programAt('test/bench/peft_step.py')], options));
}

const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

const named = ({ name, rows, length }: Shape, precision: 'f32' | 'bf16') => ({ model: name, rows, length, precision });

/** Bytes that the plan says of our steps. */
function predicted({ config, rows, length, weights }: Shape, precision: 'f32' | 'bf16'): number {
  const parameters = parametersOf(config);
  const { bytes, block } = GGML_TYPES[weights ?? precision];
  const fileBytes = (parameters / block) * bytes;
  const facts = { ...modelFacts({ name: '', config, tensors: [] }), parameters, fileBytes };
  const tokens = rows * length;
  const run = { method: EFFILORA, precision: 'file', products: precision, sequenceLength: length } as const;
  const engine = engineFacts({ name: 'webgpu', kind: 'gpu' });
  return Math.round(memoryPlan(facts, engine, { ...run, recompute: true, tokens, evaluationTokens: 0 }).total);
}

/** One step, which compiles, then three. */
async function answerOf(program: string, args: string[], options: object) {
  const lines = [JSON.stringify(options), 'run 1', 'run 3'];
  return runProgram<Answer>(program, args, { seconds: PATIENCE, lines });
}

function withAnswer(row: StepRow, { lines, problem }: { lines: Answer[]; problem?: string }): StepRow {
  const [first, three] = lines;
  if (first?.missing) return { ...row, problem: `It found ${first.missing}.` };
  if (!three) return { ...row, peakBytes: first?.peakBytes, problem: problem ?? 'It ended before it had answered.' };
  const secondsAStep = Math.min(...three.seconds);
  const tokensPerSecond = (row.rows * row.length) / secondsAStep;
  return { ...row, secondsAStep, tokensPerSecond, peakBytes: three.peakBytes, problem };
}
