import { listGpus, type Gpu } from './gpus.ts';

let asked: Promise<Gpu[]> | undefined;

/** The GPUs that were here when this process first asked: engines are chosen by them, and none is taken away in between. */
export const gpusHere = (): Promise<Gpu[]> => (asked ??= listGpus());

/** Asks again at the next time. */
export function forgetGpus(): void {
  asked = undefined;
}
