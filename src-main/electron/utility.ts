import { utilityProcess } from 'electron';
import type { Readable } from 'node:stream';
import { endOf } from '../engine/child.ts';
import type { Launch } from '../engine/child.ts';

/**
 * Starts a module of ours as a utility process: unlike a forked one it needs no program that runs as plain Node for whoever
 * asks, and that fuse is off. It ends with the studio; after a crash of that, a run goes on from its last checkpoint.
 */
export const utility: Launch = (entry, { keepErrors = false } = {}) => {
  const child = utilityProcess.fork(entry, [], {
    serviceName: 'EffiLoRA Studio',
    stdio: keepErrors ? ['ignore', 'ignore', 'pipe'] : 'inherit',
    // On a Mac: the engine's libraries come from elsewhere, or are compiled on the spot.
    allowLoadingUnsignedLibraries: true,
  });
  const said = keepErrors ? endOf(child.stderr as Readable) : () => '';
  return {
    get processId() {
      return child.pid;
    },
    send: (message) => child.postMessage(message),
    onMessage: (listener) => child.on('message', listener),
    onExit: (listener) => child.once('exit', (code) => listener({ code, signal: null, said: said() })),
    kill(signal) {
      if (signal !== 'SIGKILL' || child.pid === undefined) return void child.kill();
      try {
        process.kill(child.pid, signal);
      } catch {
        // It has ended by itself meanwhile.
      }
    },
  };
};
