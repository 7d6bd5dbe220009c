import type { Job } from '../src-preload/contract/index.ts';

/** What a job is at, in words. */
export const STAGES: Record<NonNullable<Job['progress']>['stage'], string> = {
  opening: 'Opening the model',
  calibrating: 'Calibrating',
  measuring: 'Measuring what it keeps',
  evaluating: 'Measuring',
  writing: 'Writing',
  checking: 'Checking',
};
