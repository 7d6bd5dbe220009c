import fsp from 'node:fs/promises';
import { UserError } from '../engine/types.ts';
import { RunControl } from './control.ts';
import { commandSchema, type Command, type Report, type RunEvent } from './events.ts';
import { openPort } from '../engine/port.ts';
import { parseRecipe } from '../recipe/recipe.ts';
import { train } from './train.ts';

/** What is asked for is answered at once and again this often, and signs of life come no closer, milliseconds. */
const ANSWER_MS = 5_000;
const ALIVE_MS = 1_000;

/** The trainer's own process: one run from its `start` message to its end, then it exits. Without its parent it pauses. */
const port = openPort<Report>();
const control = new RunControl();
let started = false;
let ended = false;
let answers: NodeJS.Timeout | undefined;
let aliveAt = -Infinity;

port.onMessage((message) => {
  const command = commandSchema.safeParse(message);
  if (!command.success) return;
  const { data } = command;
  if (data.kind === 'changeRatio') control.ratio = data.ratio;
  else if (data.kind !== 'start') ask(data.kind);
  else if (!started) {
    started = true;
    void run(data);
  }
});
port.onClose(() => {
  control.asked ??= 'pause';
  // Opening a model may take long, and nothing of it is worth keeping.
  if (!control.isStepping) process.exit(0);
});
// Ctrl-C goes to the whole terminal: the door decides what it means.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {
  control.asked ??= 'pause';
  if (!started || ended) process.exit(0);
});

/** A stop after a pause is a stop; each is answered. */
function ask(what: 'pause' | 'stop'): void {
  control.asked = what;
  const answer = () => tell({ kind: 'asked', what: control.asked!, waitsFor: control.doing });
  answer();
  answers ??= setInterval(answer, ANSWER_MS).unref();
}

function tell(event: RunEvent): void {
  const now = performance.now();
  if (event.kind === 'alive' && now - aliveAt < ALIVE_MS) return;
  aliveAt = now;
  void port.send({ kind: 'event', event });
}

async function read(recipe: string): Promise<string> {
  return fsp.readFile(recipe, 'utf8').catch((error: Error) => {
    throw new UserError(
      `The run's recipe can't be read (${error.message}). Put its folder back, or start the run again.`,
    );
  });
}

async function run({ recipe, folder, resume, acceptDropped }: Extract<Command, { kind: 'start' }>): Promise<void> {
  let report: Report;
  try {
    const parsed = parseRecipe(await read(recipe), recipe);
    if (acceptDropped) for (const dataset of parsed.dataset) dataset.acceptDropped = true;
    report = { kind: 'done', summary: await train(parsed, folder, { resume, control, onEvent: tell }) };
  } catch (error) {
    const forPeople = error instanceof UserError;
    const message =
      error instanceof Error ? (forPeople ? error.message : (error.stack ?? error.message)) : String(error);
    report = { kind: 'failed', message, forPeople };
  }
  ended = true;
  await port.send(report);
  port.end();
}
