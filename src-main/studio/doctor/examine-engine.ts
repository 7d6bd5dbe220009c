import type { EngineReport } from '../../../src-preload/contract/doctor.ts';
import type { Launch } from '../../engine/child.ts';
import { keepProof, probe, type ProbeAsked, type Target } from '../../engine/devices.ts';
import { STEPS, type StepsSoFar } from './steps-so-far.ts';
import { tryOut } from './trial.ts';

/** How trials are made. */
export interface Examining {
  launch: Launch;
  signal?: AbortSignal;
  /** the file of the base model whose steps are measured; undefined: it is not here */
  model?: string;
  /** seconds; tests shorten them */
  limits?: { probe: number; speeds: number; steps: number };
}

const LIMITS = { probe: 120, speeds: 60, steps: 300 };
/** Of a step: what keeps a GPU busy, a processor for a second, and what is slow for some. */
const SHAPES: Record<'gpu' | 'cpu' | 'slow', { rows: number; length: number; blocks?: number }> = {
  gpu: { rows: 4, length: 256 },
  cpu: { rows: 2, length: 128 },
  slow: { rows: 1, length: 8, blocks: 2 },
};

/** What is done with each engine, in this order. */
export const PARTS = ['Trying', 'Measuring the speed of', 'Training a few steps on'] as const;

const UNMEASURED = {
  ...{ productGflops: null, bandwidthGBs: null, steps: null },
  ...{ tokensPerSecond: null, predictedBytes: null, measuredBytes: null },
};

/** Everything about one engine on one device. @param doing is told at the beginning of each of PARTS */
export async function examineEngine(
  target: Target,
  examining: Examining,
  doing: (part: (typeof PARTS)[number]) => void,
): Promise<EngineReport> {
  const { engine: name, device, kind, memoryBytes, freeBytes, versions, ask, proven } = target;
  const { launch, signal, limits = LIMITS } = examining;
  doing('Trying');
  const report: EngineReport = {
    ...{ name, device, kind, memoryBytes, freeBytes, versions, ...UNMEASURED, notes: [] },
    probe:
      typeof ask === 'string'
        ? { passed: false, reason: ask, seconds: 0 }
        : await probe(ask, launch, 1000 * limits.probe, signal),
  };
  if (proven && !signal?.aborted) await keepProof(proven, report.probe);
  if (typeof ask === 'string' || !report.probe.passed) return report;
  doing('Measuring the speed of');
  Object.assign(report, await speeds(target, ask, examining, report.notes));
  doing('Training a few steps on');
  return { ...report, ...(await steps(target, ask, examining, report.notes)) };
}

const isSlow = ({ engine, software }: Target) => software || engine === 'wasm' || engine === 'cpu';

async function speeds(target: Target, on: ProbeAsked, examining: Examining, notes: string[]) {
  const { limits = LIMITS } = examining;
  const { found, failure } = await tryOut({ what: 'speeds', on, slow: isSlow(target) }, 1000 * limits.speeds, examining); // prettier-ignore
  if (failure !== undefined) notes.push(`Its speed was not measured. ${failure}.`);
  return found;
}

async function steps(
  target: Target,
  on: ProbeAsked,
  examining: Examining,
  notes: string[],
): Promise<Partial<EngineReport>> {
  const { model, limits = LIMITS } = examining;
  if (target.engine === 'cpu') {
    notes.push('It is for tests and tiny models: no training steps were measured on it.');
    return {};
  }
  if (model === undefined) {
    notes.push('No steps were measured: the default model is not here, npm start fetches it.');
    return {};
  }
  const shape = SHAPES[isSlow(target) ? 'slow' : target.kind];
  if (shape.blocks !== undefined)
    notes.push(`It is slow, so the steps are of ${shape.length} tokens through the model’s first ${shape.blocks} blocks.`); // prettier-ignore
  const { found, failure } = await tryOut({ what: 'steps', on, model, ...shape }, 1000 * limits.steps, examining);
  if (target.engine === 'tensorflow' && target.kind === 'gpu')
    notes.push('What the plan counts in memory for CUDA itself is estimated, not measured.');
  if (failure !== undefined)
    notes.push(`${found?.seconds.length ?? 0} of ${STEPS} training steps were done. ${failure}.`);
  return found ? measured(found, shape) : {};
}

/** The first step compiles: it counts only where it is the only one. */
function measured(
  { seconds, predictedBytes, measuredBytes }: StepsSoFar,
  { rows, length, blocks }: (typeof SHAPES)['cpu'],
): Partial<EngineReport> {
  const done = seconds.length;
  if (done === 0) return { predictedBytes };
  const counted = done > 1 ? seconds.slice(1) : seconds;
  const mean = counted.reduce((sum, each) => sum + each, 0) / counted.length;
  return {
    ...{ predictedBytes, measuredBytes: measuredBytes ?? null, steps: { done, rows, length, blocks: blocks ?? null } },
    tokensPerSecond: (rows * length) / mean,
  };
}
