import { SpareSpace } from '../storage/spare.ts';
import type { Studio } from '../studio.ts';
import { os } from './os.ts';

/** What can go from the disk. */
export function storageCalls({ library, runs, queue, adapters, uploadsFolder, exportsFolder, hubFolder }: Studio) {
  const folders = { uploads: uploadsFolder, exports: exportsFolder, hub: hubFolder };
  const spare = new SpareSpace({ library, runs, queue, adapters, folders });
  return {
    spare: os.storage.spare.handler(() => spare.list()),
    free: os.storage.free.handler(({ input }) => spare.free(input.ids)),
  };
}
