import type { RunStatus } from '../../src-preload/contract/index.ts';

/** What a run's state is called, and the sign before it. */
export const STATUSES: Record<RunStatus, { label: string; mark: string }> = {
  queued: { label: 'Queued', mark: '◷' },
  running: { label: 'Training', mark: '●' },
  paused: { label: 'Paused', mark: '❚❚' },
  interrupted: { label: 'Interrupted', mark: '⚠' },
  finished: { label: 'Finished', mark: '✓' },
  stopped: { label: 'Stopped', mark: '■' },
  failed: { label: 'Failed', mark: '✕' },
};
