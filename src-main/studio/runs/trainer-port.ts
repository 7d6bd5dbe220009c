/** How a trainer process ended. */
export interface TrainerEnd {
  outcome: 'finished' | 'paused' | 'stopped' | 'failed';
  /** one sentence, where there is something to say */
  message: string | null;
}

/** A running trainer process. */
export interface TrainerHandle {
  readonly processId: number | undefined;
  /** writes a checkpoint and ends; one that doesn't answer is ended after a while */
  pause(): void;
  /** ends the run and writes the adapter as it stands; one that doesn't answer is ended after a while */
  stop(): void;
  /** ends it at once, with its last checkpoint */
  kill(): void;
  /** while the studio closes: one that answers finishes its checkpoint by itself, one that doesn't is ended */
  leave(): void;
  setRatio(ratio: number): void;
  /** never rejects; a crash or a kill is `failed` */
  readonly ended: Promise<TrainerEnd>;
}

export interface TrainerOptions {
  resume: boolean;
  /** what happens now, as a sentence, or empty where there is nothing to say; the last one holds until the end */
  onState(message: string): void;
}

/** Starts the trainer on a run folder that holds recipe.yaml. */
export interface TrainerPort {
  start(folder: string, options: TrainerOptions): TrainerHandle;
}
