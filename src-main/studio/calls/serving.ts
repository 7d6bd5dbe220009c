import { once } from 'node:events';
import type { Served } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { Studio } from '../studio.ts';
import { onStage } from './on-stage.ts';
import { os, stream, type CallContext } from './os.ts';

/** Adapters served to other programs. */
export function servingCalls(studio: Studio) {
  return {
    start: os.serving.start.handler(async ({ input: { ids, port, network }, context }) => {
      if (network && !context.local)
        throw new UserError(
          'Only a person at the machine itself can serve to its network; serve on the machine alone.',
        );
      const adapters = [...new Set(ids)].map((id) => studio.adapters.present(id));
      const { on } = await onStage(studio, ids, adapters[0]!.model);
      return shownTo(context, await studio.served.start({ adapters, on, port, network }));
    }),
    stop: os.serving.stop.handler(async () => {
      await studio.served.stop();
      return {};
    }),
    watch: os.serving.watch.handler(({ context, signal }) => stream(watchServed(studio, context, signal))),
  };
}

/** The key, which stays the same, is the owner's to give. */
const shownTo = ({ local }: CallContext, served: Served): Served => (local ? served : { ...served, token: null });

async function* watchServed(
  { served: serving }: Studio,
  context: CallContext,
  signal: AbortSignal | undefined,
): AsyncGenerator<Served | null, void> {
  while (!signal?.aborted) {
    const { served } = serving;
    // Listened for before it is told, so that no change falls between.
    const change = once(serving, 'change', { signal }).catch(() => undefined);
    yield served && shownTo(context, served);
    await change;
  }
}
