import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { forked } from '../../trainer/child.ts';
import type { Launch } from '../../trainer/child.ts';
import { startTrainer } from '../../trainer/supervisor.ts';
import type { TrainerEnd, TrainerPort } from './trainer-port.ts';

/** The real trainer, in a process of its own; what it says goes to trainer.log in the run's folder. */
export const trainerStartedBy = (launch: Launch): TrainerPort => ({
  start(folder, { resume }) {
    const log = (line: string) => appendFileSync(join(folder, 'trainer.log'), `${new Date().toISOString()} ${line}\n`);
    const trainer = startTrainer({
      recipe: join(folder, 'recipe.yaml'),
      folder,
      resume,
      launch,
      onEvent(event) {
        if (event.kind === 'log') log(event.line);
        else if (event.kind === 'started')
          log(`Training ${event.steps} steps from step ${event.step} on ${event.engine}`);
        else if (event.kind === 'checkpoint') log(`Checkpoint at step ${event.step}`);
      },
    });
    const ended = trainer.ended.then((end): TrainerEnd => {
      if (end.outcome === 'failed') log(end.message);
      if (end.outcome === 'failed') return { outcome: 'failed', message: end.message };
      if (end.outcome === 'early')
        return { outcome: 'finished', message: 'Stopped early: the held-out loss no longer fell.' };
      return { outcome: end.outcome, message: null };
    });
    return {
      get processId() {
        return trainer.processId;
      },
      pause: () => trainer.pause(),
      stop: () => trainer.stop(),
      setRatio: (ratio) => trainer.changeRatio(ratio),
      ended,
    };
  },
});

export const trainerProcess = trainerStartedBy(forked);
