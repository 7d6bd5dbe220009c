import fs from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { z } from 'zod';
import { cacheFolder } from '../engine/folders.ts';
import type { Products } from '../engine/products.ts';
import type { EngineStatus } from '../engine/types.ts';
import { writeAtomic } from './atomic.ts';

type Engine = Pick<EngineStatus, 'name' | 'kind'>;

/** What was measured: the products of steps, sample answers (both in floating-point operations a second), and setting up (blocks a second). */
export type What = Products | 'small-steps' | 'answers' | 'set-up';
/** Of what a run's steps are: speeds of one tell little of another's. */
export type Unit = 'tokens' | 'pictures';

/** Speeds by engine and what was measured. */
const speeds = z.record(z.string(), z.number().positive());
const file = () => path.join(cacheFolder(), 'speed.json');
const key = ({ name, kind }: Engine, what: What, unit: Unit) =>
  `${name} ${kind} ${what}${unit === 'tokens' ? '' : ` of ${unit}`}`;

function read(): z.infer<typeof speeds> {
  try {
    return speeds.parse(JSON.parse(fs.readFileSync(file(), 'utf8')));
  } catch {
    return {}; // none yet, or not ours: it is measured again
  }
}

/** What the last run on this machine reached, as effilora/memory-plan.ts counts operations; undefined before the first one. */
export function measuredSpeed(engine: Engine, what: What, unit: Unit = 'tokens'): number | undefined {
  return read()[key(engine, what, unit)];
}

/** Of the engines of this machine the fastest that a run has measured, with f32 products; undefined before the first one. */
export function fastestMeasured(): number | undefined {
  const found = Object.entries(read()).flatMap(([one, speed]) => (one.endsWith(' f32') ? [speed] : []));
  return found.length ? Math.max(...found) : undefined;
}

/** f32 products on one core with wide vectors, about: until a run has measured the machine. */
const FLOPS_A_CORE = 1e11;
export const guessedSpeed = (): number => FLOPS_A_CORE * availableParallelism();

/** Steps below so many operations cost more beside their products than in them: what they reach tells nothing of others. */
export const SMALLEST_STEP_FLOPS = 1e11;
/** Of what is guessed for others; 0.31 was measured (steps of the line drawings, two cores with AVX-512). */
const SHARE_OF_SMALL_STEPS = 0.3;

/** What such steps reach, measured or guessed, in floating-point operations a second. */
export function smallStepSpeed(engine: Engine, unit: Unit): { flopsPerSecond: number; isMeasured: boolean } {
  const measured = measuredSpeed(engine, 'small-steps', unit);
  return { flopsPerSecond: measured ?? SHARE_OF_SMALL_STEPS * guessedSpeed(), isMeasured: measured !== undefined };
}

/** What a run takes beside its steps and the losses of its evaluations. */
export interface SpeedFacts {
  answerFlopsPerSecond: number;
  setUpSecondsALayer: number;
}

/** Until a run has measured the machine: token by token, about a tenth of a core's speed with many at once; a graph of a few blocks a second. */
const GUESS = { answers: 1e10, 'set-up': 2 };

/** Of the last run on this machine, or a guess. */
export function speedFacts(engine: Engine, unit: Unit = 'tokens'): SpeedFacts {
  const of = (what: keyof typeof GUESS) => measuredSpeed(engine, what, unit) ?? GUESS[what];
  // All of a picture is made at once, as in a step.
  if (unit === 'pictures')
    return {
      answerFlopsPerSecond: measuredSpeed(engine, 'answers', unit) ?? guessedSpeed(),
      setUpSecondsALayer: 1 / of('set-up'),
    };
  return { answerFlopsPerSecond: of('answers'), setUpSecondsALayer: 1 / of('set-up') };
}

/** Keeps what a run has reached, for the plans to come. */
export async function keepSpeed(engine: Engine, what: What, speed: number, unit: Unit = 'tokens'): Promise<void> {
  fs.mkdirSync(cacheFolder(), { recursive: true });
  await writeAtomic(file(), JSON.stringify({ ...read(), [key(engine, what, unit)]: speed }));
}
