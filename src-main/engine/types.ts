export type EngineName = 'tensorflow' | 'webgpu' | 'wasm' | 'cpu';

/** What `effilora engines` shows of one engine on this machine. */
export interface EngineStatus {
  name: EngineName;
  available: boolean;
  /** e.g. 'NVIDIA GeForce RTX 4090' or the CPU's name */
  device: string;
  kind: 'gpu' | 'cpu';
  /** memory tensors can use, bytes */
  memoryBytes: number;
  versions: Record<string, string>;
  /** why it is or isn't available, and what to do */
  reason: string;
}

/** What a file is quoted with has no end; a longer sentence keeps its beginning and its end, which say where and what to do. */
const MOST_LETTERS = 2000;

/** A failure a person can act on: one sentence with what, where and remedy. The command line exits with 2. */
export class UserError extends Error {
  override name = 'UserError';

  constructor(message: string) {
    super(message.length > MOST_LETTERS ? `${message.slice(0, MOST_LETTERS - 500)} … ${message.slice(-400)}` : message);
  }
}
