/** What a run is asked to do while it is under way. The loop looks between steps. */
export class RunControl {
  #wake: (() => void) | undefined;
  #paused = false;
  stopRequested = false;
  /** a new ratio for the Reducer, until the loop takes it */
  ratio: number | undefined;

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wake?.();
  }

  /** Ends the run after the step under way; a checkpoint is written. */
  stop(): void {
    this.stopRequested = true;
    this.resume();
  }

  changeRatio(ratio: number): void {
    this.ratio = ratio;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Waits while the run is paused. */
  async whilePaused(): Promise<void> {
    while (this.#paused) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}
