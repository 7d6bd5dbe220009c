import { z } from 'zod';
import type { Launch } from '../../engine/child.ts';
import { askProcess, probeAsked, type Target } from '../../engine/devices.ts';
import { entryOf } from '../../engine/entry.ts';
import type { EngineName } from '../../engine/types.ts';
import type { StepsSoFar } from './steps-so-far.ts';
import type { Speeds } from './speeds.ts';

const count = z.number().int().positive();
/** Of a step: its tokens, and how many of the model's blocks it goes through; default: all. */
const shape = { rows: count, length: count, blocks: count.optional() };

/** What a trial's process is asked: what there is to try, how fast an engine is, or a few training steps. */
export const trialAsked = z.discriminatedUnion('what', [
  z.strictObject({ what: z.literal('targets'), engine: z.enum(['tensorflow', 'webgpu']) }),
  z.strictObject({ what: z.literal('speeds'), on: probeAsked, slow: z.boolean() }),
  z.strictObject({ what: z.literal('steps'), on: probeAsked, model: z.string(), ...shape }),
]);
export type TrialAsked = z.infer<typeof trialAsked>;

/** What each kind of trial finds. */
export interface Findings {
  targets: Target[];
  speeds: Speeds;
  steps: StepsSoFar;
}
type Kind = keyof Findings;

/** What the process says: what it has found so far, again where that grows; that this was all; or why there is no more. */
export type TrialMessage =
  { kind: 'found'; found: Findings[Kind] } | { kind: 'done' } | { kind: 'failed'; reason: string };

/** What was found, and why not more. */
export interface Trial<What extends Kind> {
  found?: Findings[What];
  failure?: string;
}

const WHEN: Record<Kind, string> = {
  targets: 'when it was asked for its devices',
  speeds: 'when its speed was measured',
  steps: 'when it was to train',
};

/**
 * Has an engine do something in a process of its own, within a time: where it crashes or hangs, that is a sentence, and what it had found
 * until then is kept.
 */
export async function tryOut<What extends Kind>(
  asked: Extract<TrialAsked, { what: What }>,
  limitMs: number,
  { launch, signal }: { launch: Launch; signal?: AbortSignal },
): Promise<Trial<What>> {
  const trial: Trial<What> = {};
  const entry = entryOf(import.meta.url, './trial-process.ts', './trial.js');
  const engine: EngineName = 'on' in asked ? asked.on.engine : asked.engine;
  const ended = await askProcess({ engine, entry, asked, launch, limitMs, when: WHEN[asked.what], signal }, (told) => {
    const message = told as TrialMessage;
    if (message.kind === 'found') trial.found = message.found as Findings[What];
    if (message.kind === 'failed') trial.failure = message.reason;
    return message.kind !== 'found';
  });
  return { ...trial, failure: trial.failure ?? ended };
}
