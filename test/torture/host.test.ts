import { afterAll, beforeAll, expect, it } from 'vitest';
import { connectClient } from '../e2e/support/client.ts';
import { startHost } from './host.ts';

// What `npm run soak` and `npm run load` take for hours begins with this; a change of the door would leave both standing there.
let host: Awaited<ReturnType<typeof startHost>>;
beforeAll(async () => void (host = await startHost('host')));
afterAll(() => host?.close());

it('the host of the long runs lets its pages in and trains for them', async () => {
  const { client, close } = await connectClient(host.url);
  const { id } = await client.runs.create({ name: 'short', recipe: host.recipe(3, 'cpu') });
  for await (const event of await client.runs.watch({ id }))
    if (event.kind === 'status' && !['queued', 'running'].includes(event.run.status)) {
      expect(event.run).toMatchObject({ status: 'finished', step: 3 });
      break;
    }
  close();
});
