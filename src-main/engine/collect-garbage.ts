import v8 from 'node:v8';
import vm from 'node:vm';

let collect: (() => void) | undefined;

/**
 * Collects the JavaScript heap's garbage; some 20 ms at a trainer's 50 MB. V8 by itself lets the heap double before it does, so
 * that a run's resident memory would creep up over thousands of steps.
 */
export function collectGarbage(): void {
  if (!collect) {
    // The function exists only in contexts made while the flag is set.
    v8.setFlagsFromString('--expose-gc');
    collect = vm.runInNewContext('gc') as () => void;
    v8.setFlagsFromString('--no-expose-gc');
  }
  collect();
}
