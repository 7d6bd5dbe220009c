import { execFile } from 'node:child_process';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const support = (name: string) => path.join(import.meta.dirname, 'support', name);
const source = (name: string) => pathToFileURL(path.join(import.meta.dirname, '../../src-main', name)).href;

async function loadedWith(module: string): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [support('loaded.mjs'), source(module)]);
  return stdout;
}

const READERS = ['/hyparquet/', '/yauzl/', '/papaparse/', '/yaml/'];

it('what reads a dataset brings along the reader of its kind of file when it is read, and no other', async () => {
  const readers = await loadedWith('data/formats/excel/excel.ts');
  expect(readers).toContain('/yauzl/');
  const all = await loadedWith('cli/data.ts');
  expect(all).toContain('data/formats/rows.ts');
  for (const reader of READERS) expect(all).not.toContain(reader);
});

it('a thread that tokenizes has no readers of files at all', async () => {
  const all = await loadedWith('data/prepared/thread.ts');
  expect(all).toContain('models/tokenizer/tokenizer.ts');
  for (const reader of [...READERS, 'formats/rows.ts', '/tsx/']) expect(all).not.toContain(reader);
});

it('a thread holds its tokenizer, and not what that was made of', async () => {
  const args = ['--expose-gc', '--import', 'tsx', support('described.ts')];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const { described, givenBack, tokens } = JSON.parse(stdout) as Record<'described' | 'givenBack' | 'tokens', number>;
  expect(tokens).toBe(1);
  // The texts of its tokens are the tokenizer's, too; its lists are not.
  expect(givenBack).toBeGreaterThan(described / 2);
});
