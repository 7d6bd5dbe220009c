import { setImmediate } from 'node:timers/promises';
import { UserError } from '../../engine/types.ts';
import { lossWithout } from '../../trainer/head-effects.ts';
import { measuredOn } from './measured.ts';
import type { Act, LearnedEvent, LearnedJob, WithoutEvent, WithoutJob } from './types.ts';

/** What every head has learned to do on the examples, by one backward pass over them. */
export async function learnedJob(job: LearnedJob, { tell, signal }: Act<LearnedEvent>): Promise<void> {
  const measured = await measuredOn(job, tell);
  const { name, examples, adapter } = measured;
  try {
    const told = (done: number, total: number) => {
      signal.throwIfAborted();
      tell({ kind: 'progress', done, total });
    };
    const { loss, rises, shares } = await measured.effects({ told });
    const heads = adapter.heads.map((head, at) => ({ name: head, share: shares[at]!, rise: rises[at]! }));
    tell({ kind: 'heads', name, examples: examples.length, loss, heads });
  } finally {
    measured.end();
  }
}

/** The loss without each of some heads. @throws UserError for a name that is no head of the adapter */
export async function withoutJob(job: WithoutJob, { tell, signal }: Act<WithoutEvent>): Promise<void> {
  const measured = await measuredOn(job, tell);
  const { adapter, description, evaluate } = measured;
  try {
    const unknown = job.heads.find((head) => !(head in description.heads));
    if (unknown !== undefined)
      throw new UserError(`The adapter has no head ${unknown}; a head is named <layer>.<site>.<head>, e.g. 0.q_proj.1`);
    const total = job.heads.length + 1;
    const whole = (await evaluate()).loss;
    for (const [at, head] of job.heads.entries()) {
      tell({ kind: 'progress', done: at + 1, total });
      await setImmediate();
      signal.throwIfAborted();
      const loss = await lossWithout(head, evaluate, adapter, description);
      tell({ kind: 'without', head, loss, rise: loss - whole });
    }
  } finally {
    measured.end();
  }
}
