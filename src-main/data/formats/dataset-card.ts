import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { cardHead, parsedHead } from '../../models/card.ts';

/** One configuration of a dataset folder, as its card names it. */
export interface Configuration {
  name: string;
  /** the names of all that the card has */
  all: string[];
  /** by split the files, as patterns (`data/train-*`) */
  files?: { split: string; patterns: string[] }[];
  /** where the card names a folder in place of files */
  folder?: string;
}

const patterns = z.union([z.string().transform((one) => [one]), z.array(z.string()).min(1)]);
const bySplit = z.array(z.object({ split: z.string(), path: patterns })).min(1);
const card = z.object({
  configs: z
    .array(
      z.object({
        config_name: z.string().default('default'),
        default: z.boolean().default(false),
        data_dir: z.string().optional(),
        data_files: z.union([bySplit, patterns]).optional(),
      }),
    )
    .min(1),
});

/**
 * The configuration of a folder by its card: the one that is named, else the only or the default one. Undefined where the folder
 * has no card, or it names none.
 * @throws UserError for a name that the card lacks, or several configurations of which none is named
 */
export async function configurationOf(folder: string, name?: string): Promise<Configuration | undefined> {
  const configs = await configsOf(folder);
  if (!configs) {
    if (name === undefined) return undefined;
    throw new UserError(`${folder} has no README.md that names configurations; leave config out`);
  }
  const all = configs.map((one) => one.config_name);
  const list = all.map((one) => `"${one}"`).join(', ');
  const found =
    name === undefined
      ? (defaultOf(configs) ?? (configs.length === 1 ? configs[0] : undefined))
      : configs.find((one) => one.config_name === name);
  if (!found && name === undefined)
    throw new UserError(`${folder} has several configurations (${list}); name one with config`);
  if (!found) throw new UserError(`${folder} has no configuration "${name}"; name one of ${list}`);
  const { config_name, data_files: files, data_dir: dir } = found;
  const inFolder = (pattern: string) => path.posix.join(dir ?? '', pattern);
  const given = files?.map((one) => (typeof one === 'string' ? { split: 'train', path: [one] } : one));
  return {
    name: config_name,
    all,
    files: given?.map(({ split, path: wanted }) => ({ split, patterns: wanted.map(inFolder) })),
    folder: dir === undefined ? undefined : path.normalize(dir),
  };
}

/** The names of a folder's configurations where its card has several and no default, so that one is to be chosen; else none. */
export async function configurationsToChoose(folder: string): Promise<string[]> {
  const configs = (await configsOf(folder)) ?? [];
  return configs.length < 2 || defaultOf(configs) ? [] : configs.map((one) => one.config_name);
}

const defaultOf = (configs: z.infer<typeof card>['configs']) =>
  configs.find((one) => one.default || one.config_name === 'default');

/** What a folder's card says of its configurations. */
async function configsOf(folder: string) {
  const head = await cardHead(folder, 2 ** 20);
  if (head === undefined || !/^configs:/m.test(head)) return undefined;
  try {
    return card.parse(await parsedHead(head)).configs;
  } catch {
    throw new UserError(`${folder}: the configurations (configs:) in its README.md can't be read; mend them, or name a file of the folder`); // prettier-ignore
  }
}
