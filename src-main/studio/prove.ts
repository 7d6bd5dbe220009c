import type { Launch } from '../engine/child.ts';
import { keepProof, probe } from '../engine/devices.ts';
import { quickestProducts } from '../engine/quickest-products.ts';
import type { Jobs } from './work/types.ts';
import type { Worker } from './work/worker.ts';

/** The engines of this machine; where its helper process could not try one on its GPU, that is done from here first. */
export async function provenEngines(worker: Worker, launch: Launch, refresh: boolean): ReturnType<Jobs['engines']> {
  const states = await worker.call('engines', { refresh });
  // What plans multiply in is measured by a process that Electron's helper can't start, either.
  if (process.versions.electron) for (const state of states) void quickestProducts(state, launch);
  const untried = states.flatMap((state) => state.untried ?? []);
  if (untried.length === 0) return states;
  for (const { of, asked } of untried) await keepProof(of, await probe(asked, launch));
  return worker.call('engines', { refresh: true });
}
