import { collectGarbage } from '../engine/collect-garbage.ts';
import { stepCompiler } from '../engine/compiler.ts';

/** Collects garbage, and gives what is free of the process's memory back to the system. */
export function giveBackMemory(): void {
  collectGarbage();
  stepCompiler()?.trim();
}
