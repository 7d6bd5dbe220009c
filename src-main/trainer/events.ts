import { z } from 'zod';
import type { HeadsLine, MetricsLine } from './telemetry.ts';

/** What a run tells while it is under way. */
export type RunEvent =
  | { kind: 'log'; line: string }
  | { kind: 'started'; steps: number; step: number; heads: number; engine: string; unit: 'tokens' | 'pictures' }
  | { kind: 'metrics'; line: MetricsLine }
  | { kind: 'heads'; line: HeadsLine }
  | { kind: 'checkpointing'; step: number }
  | { kind: 'checkpoint'; step: number }
  /** it goes on with what takes long, e.g. a large checkpoint */
  | { kind: 'alive' }
  /** the answer to pause and stop, again while it lasts: what it waits for */
  | { kind: 'asked'; what: 'pause' | 'stop'; waitsFor: string }
  /** something went wrong that doesn't end the run, as a sentence */
  | { kind: 'trouble'; message: string };

/** How a run ended. */
export interface RunSummary {
  folder: string;
  /** steps done, of `steps` planned */
  step: number;
  steps: number;
  /** finished: all steps done; early: the held-out loss stopped falling; stopped, paused: asked to */
  reason: 'finished' | 'early' | 'stopped' | 'paused';
  loss: number | null;
  evalLoss: number | null;
  seconds: number;
  frozenHeads: number;
  heads: number;
}

/** Messages into the trainer's process. */
export const commandSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('start'),
    recipe: z.string(),
    folder: z.string(),
    resume: z.boolean(),
    acceptDropped: z.boolean().optional(),
  }),
  z.object({ kind: z.literal('pause') }),
  z.object({ kind: z.literal('stop') }),
  z.object({ kind: z.literal('changeRatio'), ratio: z.number().min(0).max(1) }),
]);
export type Command = z.infer<typeof commandSchema>;

/** Messages out of it. */
export type Report =
  | { kind: 'event'; event: RunEvent }
  | { kind: 'done'; summary: RunSummary }
  | { kind: 'failed'; message: string; forPeople: boolean };
