import v8 from 'node:v8';
import vm from 'node:vm';
import { stepCompiler } from '../engine/tensorflow/open-compiler.ts';

let collect: (() => void) | undefined;

/**
 * Collects the JavaScript heap's garbage, some 20 ms at a trainer's 50 MB, and gives what is free of the process's memory back to
 * the system. V8 by itself lets the heap double before it collects, so that a run's resident memory would creep up over thousands
 * of steps.
 */
export function giveBackMemory(): void {
  if (!collect) {
    // The function exists only in contexts made while the flag is set.
    v8.setFlagsFromString('--expose-gc');
    collect = vm.runInNewContext('gc') as () => void;
    v8.setFlagsFromString('--no-expose-gc');
  }
  collect();
  stepCompiler()?.trim();
}
