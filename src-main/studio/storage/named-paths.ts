import { readFile } from 'node:fs/promises';
import { join, resolve, sep } from 'node:path';
import type { AdapterLibrary } from '../adapters/library.ts';
import type { Library } from '../database/open.ts';

/** Which places on the disk anything in a library names: recipes, entries, drafts, chats, and what adapters say they were made with. */
export async function namedPaths(
  library: Library,
  adapters: AdapterLibrary,
): Promise<{ has(folder: string): boolean }> {
  const column = (table: string, name: string) =>
    (library.prepare(`SELECT ${name} AS text FROM ${table}`).all() as { text: string }[]).map(({ text }) => text);
  const plain = [...column('models', 'path'), ...column('datasets', 'path')];
  const described = await Promise.all(
    adapters.store.rows().map(({ folder }) => readFile(join(folder, 'adapter.json'), 'utf8').catch(() => 'null')),
  );
  const json = [
    ...column('runs', 'recipe'),
    ...column('settings', 'value'),
    ...column('adapters', 'facts'),
    ...column('chats', 'messages'),
    ...described,
  ];
  const all = new Set(plain);
  for (const text of json) gather(JSON.parse(text), all);
  const places = [...all].map((path) => resolve(path));
  return { has: (folder) => places.some((place) => place === folder || place.startsWith(folder + sep)) };
}

/** Every text in a JSON value that may be a path. */
function gather(value: unknown, into: Set<string>): void {
  if (typeof value === 'string') {
    if (/[/\\]/.test(value) && value.length <= 4096) into.add(value);
  } else if (value !== null && typeof value === 'object') for (const one of Object.values(value)) gather(one, into);
}
