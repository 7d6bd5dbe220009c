import { UserError } from '../../engine/types.ts';
import type { Studio } from '../studio.ts';
import { onStage } from './on-stage.ts';
import { os } from './os.ts';

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
      return studio.served.start({ adapters, on, port, network });
    }),
    stop: os.serving.stop.handler(async () => {
      await studio.served.stop();
      return {};
    }),
    status: os.serving.status.handler(() => studio.served.served),
  };
}
