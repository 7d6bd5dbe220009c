import { ref } from 'vue';
import type { Job } from '../src-preload/contract/index.ts';
import { studio } from './connection.ts';
import { duration } from './format.ts';
import { STAGES } from './stages.ts';
import { useStream } from './use-stream.ts';

/** What a running job is at, in words: its stage, and the time left where that is known. */
export function told({ progress }: Job): string {
  if (!progress) return 'Waiting';
  const left = progress.secondsLeft === undefined ? '' : ` · about ${duration(progress.secondsLeft)} left`;
  return `${STAGES[progress.stage]}${left}`;
}

/** One job of the studio's that a page follows: it goes on when the page is left, and is found again by `rejoin`. */
export function useJob() {
  const { busy, error, run, stop } = useStream();
  const job = ref<Job>();

  /** Starts one and follows it; resolves to what it left, nothing where it was cancelled or failed. */
  async function start(begin: () => Promise<Job>): Promise<Job['result']> {
    let last: Job | undefined;
    job.value = undefined;
    await run(
      async (signal) => {
        const begun = await begin();
        job.value = begun;
        return studio.jobs.follow({ id: begun.id }, { signal });
      },
      (now) => take((last = now)),
    );
    return last?.result ?? null;
  }
  /** Follows one that goes on already; resolves as `start` does. */
  async function rejoin(isIt: (job: Job) => boolean): Promise<Job['result']> {
    const going = (await studio.jobs.list()).find((one) => one.state === 'running' && isIt(one));
    return going && !busy.value ? start(() => Promise.resolve(going)) : null;
  }
  function take(now: Job) {
    job.value = now;
    if (now.state === 'failed' || now.state === 'interrupted')
      throw new Error(now.message ?? 'This was interrupted. Start it again.');
  }
  async function cancel() {
    if (job.value) await studio.jobs.cancel({ id: job.value.id });
  }
  return { busy, error, job, start, rejoin, cancel, stop };
}
