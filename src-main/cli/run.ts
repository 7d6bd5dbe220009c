import { constants } from 'node:os';
import type { RunEvent } from '../trainer/events.ts';
import { startTrainer, type TrainerEnd } from '../trainer/supervisor.ts';

export interface RunToFollow {
  /** recipe file */
  recipe: string;
  /** the run's folder */
  folder: string;
  resume: boolean;
  acceptDropped?: boolean;
  onEvent: (event: RunEvent) => void;
  /** a first Ctrl-C or SIGTERM came: the trainer writes a checkpoint and ends */
  onInterrupt: () => void;
}

export interface RunEnd {
  end: TrainerEnd;
  /** the exit code that an interruption asks for */
  interrupted?: number;
}

/**
 * Runs a training in its own process to its end. Ctrl-C or SIGTERM ends it with a checkpoint; a second one kills it, and what
 * was done since its last checkpoint is lost.
 */
export async function followRun({ onInterrupt, ...start }: RunToFollow): Promise<RunEnd> {
  const trainer = startTrainer(start);
  let interrupted: number | undefined;
  const interrupt = (signal: NodeJS.Signals) => {
    if (interrupted !== undefined) trainer.kill();
    interrupted = 128 + constants.signals[signal];
    onInterrupt();
    trainer.pause();
  };
  process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
  try {
    return { end: await trainer.ended, interrupted };
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
}
