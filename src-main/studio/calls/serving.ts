import { UserError } from '../../engine/types.ts';
import type { Studio } from '../studio.ts';
import { onStage } from './on-stage.ts';
import { os } from './os.ts';

/** An adapter served to other programs. */
export function servingCalls(studio: Studio) {
  return {
    start: os.serving.start.handler(async ({ input: { id, port, network }, context }) => {
      if (network && !context.local)
        throw new UserError(
          'Only a person at the machine itself can serve to its network; serve on the machine alone.',
        );
      const adapter = studio.adapters.present(id);
      const { on } = await onStage(studio, [id], adapter.model);
      return studio.served.start({ adapter, on, port, network });
    }),
    stop: os.serving.stop.handler(async () => {
      await studio.served.stop();
      return {};
    }),
    status: os.serving.status.handler(() => studio.served.served),
  };
}
