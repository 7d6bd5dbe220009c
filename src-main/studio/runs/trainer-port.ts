/** How a trainer process ended. */
export interface TrainerEnd {
  outcome: 'finished' | 'paused' | 'stopped' | 'failed';
  /** one sentence, where there is something to say */
  message: string | null;
}

/** A running trainer process. */
export interface TrainerHandle {
  readonly processId: number | undefined;
  /** writes a checkpoint and ends */
  pause(): void;
  /** ends the run and writes the adapter as it stands */
  stop(): void;
  setRatio(ratio: number): void;
  /** never rejects; a crash or a kill is `failed` */
  readonly ended: Promise<TrainerEnd>;
}

/** Starts the trainer on a run folder that holds recipe.yaml. */
export interface TrainerPort {
  start(folder: string, options: { resume: boolean }): TrainerHandle;
}
