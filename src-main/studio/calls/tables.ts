import { rm, stat, writeFile } from 'node:fs/promises';
import type { DatasetEntry } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { Reading } from '../datasets/library.ts';
import { guessedReading } from '../datasets/guessed-reading.ts';
import { removeOwn } from '../datasets/own-rows.ts';
import { pastedText } from '../datasets/paste.ts';
import type { Studio } from '../studio.ts';
import type { TablePlace } from '../work/types.ts';
import { os } from './os.ts';

/** Looking into datasets and changing their rows. */
export function tableCalls(studio: Studio) {
  const { datasets, worker } = studio;
  /** a dataset's file, which may still be read */
  const place = async (id: string) => {
    const entry = await datasets.get(id);
    return { entry, path: await studio.allowed.check(entry.path), part: { sheet: entry.sheet, config: entry.config } };
  };
  const make = async (from: TablePlace & { encoding?: string }, name: string, reading?: Reading) => {
    const file = datasets.newTable();
    const made = await worker.call('ownTable', { ...from, file });
    const { id } = await datasets.add(file, {
      name,
      own: true,
      reading: reading ?? (await guessedReading(worker, file)),
    });
    return { id, ...made };
  };
  /** work on the file of a table of the studio's own, whose size is known anew then */
  const changing = async <Result>(id: string, work: (file: string) => Promise<Result>) => {
    const { path } = ownTable(await datasets.get(id));
    const result = await work(path);
    datasets.change(id, { bytes: (await stat(path)).size });
    return result;
  };
  return {
    look: os.datasets.look.handler(async ({ input: { id, question, answer }, signal }) => {
      const { path, part } = await place(id);
      return worker.call('look', { path, ...part, question, answer }, { signal });
    }),
    rows: os.datasets.rows.handler(async ({ input: { id, ...request }, signal }) => {
      const { path, part } = await place(id);
      return worker.call('rows', { ...request, path, ...part }, { signal });
    }),
    own: os.datasets.own.handler(async ({ input: { id, encoding } }) => {
      const { entry, path, part } = await place(id);
      return make({ path, ...part, encoding }, entry.name, { format: entry.format, mapping: entry.mapping });
    }),
    paste: os.datasets.paste.handler(async ({ input: { name, text, header } }) => {
      const aside = datasets.newTable().replace(/\.jsonl$/, '.tsv');
      try {
        await writeFile(aside, pastedText(text, header), { mode: 0o600 });
        return await make({ path: aside }, name).catch((error: unknown) => {
          if (!(error instanceof UserError)) throw error;
          throw new UserError(error.message.replaceAll(aside, 'What was pasted'));
        });
      } finally {
        await rm(aside, { force: true });
      }
    }),
    edit: os.datasets.edit.handler(async ({ input: { id, changes } }) => {
      await changing(id, (file) => worker.call('editTable', { file, changes }));
      return {};
    }),
    undo: os.datasets.undo.handler(({ input: { id } }) => changing(id, (file) => worker.call('undoTable', { file }))),
    change: os.datasets.change.handler(async ({ input: { id, name, format, mapping, sheet } }) => {
      const entry = await datasets.get(id);
      datasets.change(id, { name, reading: changed(entry, { format, mapping, sheet }) });
      return {};
    }),
    remove: os.datasets.remove.handler(async ({ input: { id } }) => {
      const entry = (await datasets.list()).find((one) => one.id === id);
      if (entry?.own) checkUnused(studio, entry);
      datasets.remove(id);
      if (entry?.own) await removeOwn(entry.path);
      return {};
    }),
  };
}

/** How a dataset is read after a change; null takes back what was chosen. */
function changed(
  { format, mapping, sheet, config }: Reading,
  given: { [Key in keyof Reading]?: Reading[Key] | null },
): Reading {
  const pick = <T>(before: T, wanted: T | null | undefined) => (wanted === undefined ? before : (wanted ?? undefined));
  return {
    format: pick(format, given.format),
    mapping: pick(mapping, given.mapping),
    sheet: pick(sheet, given.sheet),
    config: pick(config, given.config),
  };
}

/** A table that a run still needs stays. @throws UserError naming the run */
function checkUnused({ runs }: Studio, { name, path }: DatasetEntry): void {
  const named = JSON.stringify(path);
  const run = runs.list(false).find(({ status, recipe }) => status !== 'finished' && recipe.includes(named));
  if (run) throw new UserError(`“${name}” is what the run “${run.name}” learns from. Delete that run first.`);
}

/** @throws UserError where the file is the user's, which the studio leaves as it is */
function ownTable(entry: DatasetEntry): DatasetEntry {
  if (entry.own) return entry;
  throw new UserError(`“${entry.name}” is a file of yours, which stays as it is. Make a copy to change its rows.`);
}
