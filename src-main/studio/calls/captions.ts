import { mkdir, rm } from 'node:fs/promises';
import { basename, dirname, extname } from 'node:path';
import { UserError } from '../../engine/types.ts';
import type { Studio } from '../studio.ts';
import { os } from './os.ts';

/** Captions of pictures, looked at and changed. */
export function captionCalls({ datasets, worker, allowed }: Studio) {
  const place = async (id: string) => {
    const entry = await datasets.get(id);
    const path = await allowed.check(entry.path);
    return { entry, path, undo: datasets.captionsUndo(path), part: { sheet: entry.sheet, config: entry.config } };
  };
  return {
    captions: os.datasets.captions.handler(async ({ input: { id, ...request }, signal }) => {
      const { path, undo, part } = await place(id);
      return worker.call('captions', { ...request, path, undo, ...part }, { signal });
    }),
    caption: os.datasets.caption.handler(async ({ input: { id, change } }) => {
      const { entry, path, undo } = await place(id);
      if (entry.origin === 'example') throw new UserError('What belongs to the examples can’t be changed. Make a copy of your own first.'); // prettier-ignore
      return worker.call('changeCaptions', { path, undo, change });
    }),
    undoCaptions: os.datasets.undoCaptions.handler(async ({ input: { id } }) =>
      worker.call('undoCaptions', { undo: (await place(id)).undo }),
    ),
    ownCaptions: os.datasets.ownCaptions.handler(async ({ input: { id } }) => {
      const { entry, path, part } = await place(id);
      const folder = datasets.newFolder(basename(path, extname(path)));
      await mkdir(folder, { recursive: true });
      try {
        const made = await worker.call('ownCaptions', { path, ...part, folder });
        const own = await datasets.add(folder, { name: entry.name, own: true });
        return { id: own.id, ...made };
      } catch (error) {
        await rm(dirname(folder), { recursive: true, force: true });
        throw error;
      }
    }),
  };
}
