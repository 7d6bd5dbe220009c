import { createRouterClient } from '@orpc/server';
import { createRouter } from '../../src-main/studio/router.ts';
import { trainerProcess } from '../../src-main/studio/runs/trainer-process.ts';
import { openStudio } from '../../src-main/studio/studio.ts';

// A studio in a process that a test can kill, with its real helpers. The contract's calls come as messages.
const [dataFolder] = process.argv.slice(2);
const studio = openStudio({ dataFolder: dataFolder!, trainer: trainerProcess, folders: [dataFolder!] });
const client = createRouterClient(createRouter(studio), { context: { local: true } });

interface Call {
  id: number;
  path: string;
  input: unknown;
}

/** Of a stream the last event is the answer. */
async function answer({ path, input }: Call): Promise<unknown> {
  const call = path.split('.').reduce((at, key) => (at as Record<string, unknown>)[key], client as unknown);
  const result = await (call as (input: unknown) => Promise<unknown>)(input);
  if (result === null || typeof result !== 'object' || !(Symbol.asyncIterator in result)) return result;
  let last: unknown;
  for await (const event of result as AsyncIterable<unknown>) last = event;
  return last;
}

process.on('message', (message) => {
  const call = message as Call;
  void answer(call).then(
    (result) => process.send!({ id: call.id, result }),
    (error: Error) => process.send!({ id: call.id, error: error.message }),
  );
});
process.once('disconnect', () => process.exit(0));
process.send!({ ready: true });
