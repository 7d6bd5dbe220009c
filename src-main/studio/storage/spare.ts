import { readdir, rm, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { SpareItem } from '../../../src-preload/contract/index.ts';
import { preparedFolder } from '../../data/prepared/cache-folder.ts';
import { KEPT_KINDS, keptFolder } from '../../engine/kept-files.ts';
import { checkpointFolders } from '../../trainer/checkpoints.ts';
import { RunLock } from '../../trainer/run-lock.ts';
import type { AdapterLibrary } from '../adapters/library.ts';
import type { Library } from '../database/open.ts';
import { folderSize } from '../machine.ts';
import type { RunQueue } from '../runs/queue.ts';
import type { RunRow, RunStore } from '../runs/store.ts';
import { namedPaths } from './named-paths.ts';

/** What is younger may be about to be used: an upload that a page is still choosing, milliseconds. */
const YOUNG_MS = 3_600_000;

export interface SpareParts {
  library: Library;
  runs: RunStore;
  queue: RunQueue;
  adapters: AdapterLibrary;
  folders: Record<'uploads' | 'exports' | 'hub', string>;
}

/** An item with what deletes it. @throws UserError where it is used by now */
interface Spare extends SpareItem {
  remove(): Promise<void>;
}

/** What of a studio's disk can go: nothing that a run needs to go on, or an adapter to be opened. */
export class SpareSpace {
  constructor(private readonly parts: SpareParts) {}

  /** Largest first. */
  async list(): Promise<SpareItem[]> {
    return (await this.all()).map(({ id, kind, name, note, bytes }) => ({ id, kind, name, note, bytes }));
  }

  /** Deletes those of the ids that are still on the list. */
  async free(ids: string[]): Promise<{ freedBytes: number; kept: { name: string; why: string }[] }> {
    const wanted = new Set(ids);
    const kept: { name: string; why: string }[] = [];
    let freedBytes = 0;
    for (const spare of (await this.all()).filter(({ id }) => wanted.has(id))) {
      try {
        await spare.remove();
        freedBytes += spare.bytes;
      } catch (error) {
        kept.push({ name: spare.name, why: (error as Error).message });
      }
    }
    return { freedBytes, kept };
  }

  private async all(): Promise<Spare[]> {
    const found = await Promise.all([this.checkpoints(), this.trash(), this.prepared(), this.fromHub(), this.files()]);
    return found
      .flat()
      .filter(({ bytes }) => bytes > 0)
      .sort((a, b) => b.bytes - a.bytes);
  }

  private async checkpoints(): Promise<Spare[]> {
    const still = this.parts.runs.list(false).filter(({ status }) => status !== 'running' && status !== 'queued');
    return Promise.all(still.map((run) => this.checkpointsOf(run)));
  }

  /** Of a finished run all, of one that can be resumed all but the last. */
  private async checkpointsOf({ id, name, folder, status }: RunRow): Promise<Spare> {
    const place = join(folder, 'checkpoints');
    const all = await checkpointFolders(place);
    const spare = (status === 'finished' ? all : all.slice(0, -1)).map((one) => join(place, one));
    const sizes = await Promise.all(spare.map(folderSize));
    return {
      ...{ id: `checkpoints:${id}`, kind: 'checkpoints', name: `Saved states of “${name}”` },
      note: status === 'finished' ? 'The run is finished; its adapter stays.' : 'The newest stays, to resume from.',
      bytes: sum(sizes),
      async remove() {
        const lock = await RunLock.take(folder);
        try {
          for (const one of spare) await rm(one, { recursive: true, force: true });
        } finally {
          await lock.release();
        }
      },
    };
  }

  private async trash(): Promise<Spare[]> {
    const { runs, queue, adapters } = this.parts;
    const trashed = adapters.store.rows().filter(({ trashed_at }) => trashed_at !== null);
    const ofRuns = runs.list(true).map(async ({ id, name, folder }): Promise<Spare> => {
      const note = 'In the trash. It can’t be brought back afterwards.';
      const { bytes } = await folderSize(folder);
      return { id: `run:${id}`, kind: 'trash', name: `Run “${name}”`, note, bytes, remove: () => queue.purge(id) };
    });
    const ofAdapters = trashed.map(async ({ id, name, folder }): Promise<Spare> => {
      const note = 'In the trash. It can’t be brought back afterwards.';
      const { bytes } = await folderSize(folder);
      return {
        id: `adapter:${id}`,
        kind: 'trash',
        name: `Adapter “${name}”`,
        note,
        bytes,
        remove: () => adapters.purge(id),
      };
    });
    return Promise.all([...ofRuns, ...ofAdapters]);
  }

  private async prepared(): Promise<Spare[]> {
    const folders = [preparedFolder(), ...KEPT_KINDS.map((kind) => keptFolder(kind))];
    const bytes = sum(await Promise.all(folders.map(folderSize)));
    const note = 'Made again when a training needs it, which then takes a little longer to begin.';
    const remove = async () => {
      for (const folder of folders) await removed(folder);
    };
    return [{ ...{ id: 'prepared:', kind: 'prepared', name: 'Prepared data' }, note, bytes, remove }];
  }

  private async fromHub(): Promise<Spare[]> {
    const { hub } = this.parts.folders;
    const named = await namedPaths(this.parts.library, this.parts.adapters);
    const of = async (kind: 'model' | 'dataset'): Promise<Spare[]> =>
      Promise.all(
        (await readdir(join(hub, `${kind}s`)).catch(() => [])).map(async (name) => {
          const folder = join(hub, `${kind}s`, name);
          const used = named.has(folder);
          const note = used
            ? 'Adapters or runs need it: they won’t open until it is downloaded again.'
            : 'Can be downloaded again.';
          const { bytes } = await folderSize(folder);
          const remove = () => this.removeDownload(kind, folder);
          return { id: `${kind}:${name}`, kind, name: name.replace('--', '/'), note, bytes, remove };
        }),
      );
    return [...(await of('model')), ...(await of('dataset'))];
  }

  private async removeDownload(kind: 'model' | 'dataset', folder: string): Promise<void> {
    await removed(folder);
    const { library } = this.parts;
    const rows = library.prepare(`SELECT id, path FROM ${kind}s`).all() as { id: string; path: string }[];
    const gone = rows.filter(({ path }) => path === folder || path.startsWith(folder + sep));
    for (const { id } of gone) library.prepare(`DELETE FROM ${kind}s WHERE id = ?`).run(id);
  }

  /** Uploads that nothing names, and exports, which are copies. */
  private async files(): Promise<Spare[]> {
    const { uploads, exports } = this.parts.folders;
    const named = await namedPaths(this.parts.library, this.parts.adapters);
    const unused = (await oldIn(uploads)).filter((folder) => !named.has(folder));
    const ofUploads = unused.map(async (folder): Promise<Spare> => {
      const [name = folder] = await readdir(folder).catch(() => []);
      const note = 'Nothing in the studio uses this copy of what was dropped on the page.';
      const { bytes } = await folderSize(folder);
      return { id: `upload:${folder}`, kind: 'upload', name, note, bytes, remove: () => removed(folder) };
    });
    const ofExports = (await oldIn(exports)).map(async (folder): Promise<Spare> => {
      const note = 'An exported copy. The adapter itself stays.';
      const { bytes } = await folderSize(folder);
      return {
        id: `export:${folder}`,
        kind: 'export',
        name: folder.slice(exports.length + 1),
        note,
        bytes,
        remove: () => removed(folder),
      };
    });
    return Promise.all([...ofUploads, ...ofExports]);
  }
}

const removed = (folder: string) => rm(folder, { recursive: true, force: true });
const sum = (sizes: { bytes: number }[]) => sizes.reduce((all, { bytes }) => all + bytes, 0);

/** Folders in `folder` that nothing was written into for a while. */
async function oldIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => [] as string[]);
  const aged = await Promise.all(
    names.map(async (name) => {
      const found = await stat(join(folder, name)).catch(() => undefined);
      return found?.isDirectory() && Date.now() - found.mtimeMs > YOUNG_MS ? join(folder, name) : undefined;
    }),
  );
  return aged.filter((place) => place !== undefined);
}
