/** The line to the process that started this one (child.ts is the other end). */
export interface Port<Message> {
  /** resolves when the message is out, or can't be */
  send(message: Message): Promise<void>;
  onMessage(listener: (message: unknown) => void): void;
  /** when the other side is gone; a utility process ends with it */
  onClose(listener: () => void): void;
  /** ends this process after its last message */
  end(): void;
}

/** Electron's `process.parentPort` in a utility process (electronjs.org/docs/latest/api/parent-port). */
interface ParentPort {
  postMessage(message: unknown): void;
  on(event: 'message', listener: (event: { data: unknown }) => void): void;
}

/** A utility process's port under Electron, else the channel that `child_process.fork` opened. */
export function openPort<Message>(): Port<Message> {
  const { parentPort } = process as unknown as { parentPort?: ParentPort };
  if (parentPort)
    return {
      send: async (message) => parentPort.postMessage(message),
      onMessage: (listener) => parentPort.on('message', ({ data }) => listener(data)),
      onClose: () => {},
      // Nothing tells when a message is out: whoever waits for the last one ends this process then.
      end: () => {},
    };
  return {
    send: (message) =>
      new Promise((resolve) => {
        if (!process.connected) return resolve();
        process.send!(message, () => resolve());
      }),
    onMessage: (listener) => process.on('message', listener),
    onClose(listener) {
      // It may have gone while this process was still loading its modules.
      if (process.connected) process.once('disconnect', listener);
      else listener();
    },
    end: () => process.exit(0),
  };
}
