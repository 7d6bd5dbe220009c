export type EngineName = 'tensorflow' | 'webgpu' | 'wasm' | 'cpu';

/** Where an engine that can run on several devices is to run. */
export interface Placement {
  gpu: boolean;
  /** CUDA's name of the GPU, where there are several */
  uuid?: string;
}

/** What a try of an engine is of: another driver or version needs another. */
export interface Proven {
  engine: EngineName;
  device: string;
  driver: string;
  version: string;
}

/** A try that is still to be made (devices/probe.ts). */
export interface Untried {
  of: Proven;
  asked: { engine: EngineName } & Placement;
}

/** What `effilora engines` shows of one engine on this machine. */
export interface EngineStatus {
  name: EngineName;
  available: boolean;
  /** e.g. 'NVIDIA GeForce RTX 4090' or the CPU's name */
  device: string;
  kind: 'gpu' | 'cpu';
  /** memory tensors can use, bytes */
  memoryBytes: number;
  /** of a GPU's now, where it is told */
  freeBytes?: number;
  versions: Record<string, string>;
  /** why it is or isn't available, and what to do */
  reason: string;
  /** that it has still to be tried on its GPU, which this process could not do */
  untried?: Untried;
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
