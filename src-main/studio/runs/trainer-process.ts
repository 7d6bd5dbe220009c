import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { forked } from '../../engine/child.ts';
import type { Launch } from '../../engine/child.ts';
import { startTrainer } from '../../trainer/supervisor.ts';
import type { TrainerEnd, TrainerPort } from './trainer-port.ts';

/** The real trainer, in a process of its own, which writes its own log; what it can't tell any more is added to that here. */
export const trainerStartedBy = (launch: Launch): TrainerPort => ({
  start(folder, { resume, onState }) {
    const trainer = startTrainer({
      ...{ recipe: join(folder, 'recipe.yaml'), folder, resume, launch, onState },
      onEvent(event) {
        if (event.kind === 'trouble') onState(event.message);
        if (event.kind === 'started') onState('');
      },
    });
    return {
      get processId() {
        return trainer.processId;
      },
      pause: () => trainer.pause(),
      stop: () => trainer.stop(),
      kill: () => trainer.kill(),
      leave: () => trainer.leave(),
      setRatio: (ratio) => trainer.changeRatio(ratio),
      ended: trainer.ended.then((end): TrainerEnd | Promise<TrainerEnd> => {
        if (end.outcome === 'failed') return logged(folder, end.message);
        if (end.outcome === 'early')
          return { outcome: 'finished', message: 'Stopped early: the held-out loss no longer fell.' };
        return { outcome: end.outcome, message: null };
      }),
    };
  },
});

export const trainerProcess = trainerStartedBy(forked);

/** Where the log can't be written (a full disk, a deleted folder), the run says that, too. */
async function logged(folder: string, message: string): Promise<TrainerEnd> {
  const unwritten = await appendFile(join(folder, 'trainer.log'), `${new Date().toISOString()} ${message}\n`).then(
    () => '',
    (error: Error) => ` The run's log could not be written (${error.message}).`,
  );
  return { outcome: 'failed', message: message + unwritten };
}
