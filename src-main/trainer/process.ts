import fsp from 'node:fs/promises';
import { UserError } from '../engine/types.ts';
import { RunControl } from './control.ts';
import { commandSchema, type Command, type Report } from './events.ts';
import { openPort } from './port.ts';
import { parseRecipe } from './recipe.ts';
import { train } from './train.ts';

/** The trainer's own process: one run from its `start` message to its end, then it exits. Without its parent it pauses. */
const port = openPort<Report>();
const control = new RunControl();
let started = false;

port.onMessage((message) => {
  const command = commandSchema.safeParse(message);
  if (!command.success) return;
  const { data } = command;
  if (data.kind === 'changeRatio') control.ratio = data.ratio;
  else if (data.kind !== 'start') control.asked = data.kind;
  else if (!started) {
    started = true;
    void run(data);
  }
});
port.onClose(() => {
  control.asked ??= 'pause';
  if (!started) process.exit(0);
});
// Ctrl-C goes to the whole terminal: the door decides what it means.
process.on('SIGINT', () => {});

async function run({ recipe, folder, resume }: Extract<Command, { kind: 'start' }>): Promise<void> {
  let report: Report;
  try {
    const parsed = parseRecipe(await fsp.readFile(recipe, 'utf8'), recipe);
    const onEvent = (event: Extract<Report, { kind: 'event' }>['event']) => void port.send({ kind: 'event', event });
    report = { kind: 'done', summary: await train(parsed, folder, { resume, control, onEvent }) };
  } catch (error) {
    const forPeople = error instanceof UserError;
    const message =
      error instanceof Error ? (forPeople ? error.message : (error.stack ?? error.message)) : String(error);
    report = { kind: 'failed', message, forPeople };
  }
  await port.send(report);
  port.end();
}
