import type { RunSummary } from '../../src-preload/contract/index.ts';

/** Whether a run waits to be started by hand: kept for later, it has never been going. */
export const isKept = (run: RunSummary): boolean => run.status === 'paused' && run.startedAt === null;
