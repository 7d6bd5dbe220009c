import type { Report } from './events.ts';

/** The line to the process that started this one. */
export interface Port {
  /** resolves when the message is out, or can't be */
  send(report: Report): Promise<void>;
  onMessage(listener: (message: unknown) => void): void;
  /** when the other side is gone */
  onClose(listener: () => void): void;
}

/** Electron's `process.parentPort` in a utility process (electronjs.org/docs/latest/api/parent-port). */
interface ParentPort {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (event: { data: unknown }) => void): void;
}

/** A utility process's port under Electron, else the channel that `child_process.fork` opened. */
export function openPort(): Port {
  const { parentPort } = process as unknown as { parentPort?: ParentPort };
  if (parentPort)
    return {
      send: async (report) => parentPort.postMessage(report),
      onMessage: (listener) => parentPort.on('message', ({ data }) => listener(data)),
      onClose: () => {},
    };
  return {
    send: (report) =>
      new Promise((resolve) => {
        if (!process.connected) return resolve();
        process.send!(report, () => resolve());
      }),
    onMessage: (listener) => process.on('message', listener),
    onClose: (listener) => process.once('disconnect', listener),
  };
}
