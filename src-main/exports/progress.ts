import type { ExportProgress } from './request.ts';

/** Tells how far each stage is, with the time left at the stage's pace so far; stops where the export is cancelled. */
export class Progress {
  #started = 0;

  constructor(
    private readonly tell: (progress: ExportProgress) => void,
    private readonly signal?: AbortSignal,
  ) {}

  /** @throws the signal's reason once it is aborted */
  check(): void {
    this.signal?.throwIfAborted();
  }

  /** Tells, and throws as `check`. */
  at(stage: ExportProgress['stage'], done: number, total: number): void {
    this.check();
    if (done === 0) this.#started = performance.now();
    const seconds = (performance.now() - this.#started) / 1000;
    this.tell({ stage, done, total, secondsLeft: done > 0 ? (seconds / done) * (total - done) : undefined });
  }
}
