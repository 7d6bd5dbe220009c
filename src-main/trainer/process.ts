// The trainer's own process: a crash, an out-of-memory or a kill here never takes the studio down.
import { UserError } from '../engine/types.ts';
import { RunControl } from './control.ts';
import { commandSchema, type Report } from './events.ts';
import { train } from './loop.ts';
import { parseRecipe } from './recipe.ts';

const control = new RunControl();
const report = (message: Report) => process.send?.(message);

async function start(command: { recipe: string; recipePath: string; folder: string; resume: boolean }): Promise<void> {
  try {
    const recipe = parseRecipe(command.recipe, command.recipePath);
    const onEvent = (event: Extract<Report, { kind: 'event' }>['event']) => report({ kind: 'event', event });
    report({
      kind: 'done',
      summary: await train(recipe, command.folder, { resume: command.resume, control, onEvent }),
    });
  } catch (error) {
    const isUserError = error instanceof UserError;
    const { message, stack } = error as Error;
    report({ kind: 'failed', message: isUserError ? message : (stack ?? message), isUserError });
  }
  process.disconnect?.();
}

process.on('message', (message) => {
  const command = commandSchema.parse(message);
  if (command.kind === 'start') void start(command);
  else if (command.kind === 'changeRatio') control.changeRatio(command.ratio);
  else control[command.kind]();
});
// The door that started this process is gone: end cleanly, with a checkpoint.
process.on('disconnect', () => control.stop());
// A terminal's Ctrl-C reaches the whole group; the door decides what becomes of the run.
process.on('SIGINT', () => {});
