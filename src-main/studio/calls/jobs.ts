import type { Studio } from '../studio.ts';
import { os, stream } from './os.ts';

/** Exports and imports that are going on, or have ended. */
export function jobCalls({ jobs }: Studio) {
  return {
    list: os.jobs.list.handler(() => jobs.list()),
    watch: os.jobs.watch.handler(({ signal }) => stream(jobs.watch(signal))),
    follow: os.jobs.follow.handler(({ input, signal }) => stream(jobs.follow(input.id, signal))),
    cancel: os.jobs.cancel.handler(({ input }) => {
      jobs.cancel(input.id);
      return {};
    }),
    remove: os.jobs.remove.handler(({ input }) => {
      jobs.remove(input.id);
      return {};
    }),
  };
}
