import { fork } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { copyAdapter } from '../../src-main/studio/adapters/folder.ts';
import { writeGeneration } from '../support/adapter-generations.ts';
import { temporary } from './support.ts';

const work = temporary('pair');
const WRITER = fileURLToPath(new URL('../support/adapter-generations.ts', import.meta.url));

/** Both files of an adapter say which generation they are of. */
async function generationsIn(folder: string): Promise<number[]> {
  const { description, tensors } = await readAdapter(folder);
  return [description.metrics['steps']!, tensors[0]!.data[0]!];
}

describe('an adapter’s two files', () => {
  const [old, next] = [path.join(work, 'old'), path.join(work, 'next')];
  beforeAll(async () => {
    await writeGeneration(old, 1);
    await writeGeneration(next, 2);
  });

  /** The folder as a crash leaves it: the old files, some of them replaced, and what has not been moved yet. */
  function crashed(name: string, moved: string[], waiting: string[]): string {
    const folder = path.join(work, name);
    fs.cpSync(old, folder, { recursive: true });
    for (const file of moved) fs.copyFileSync(path.join(next, file), path.join(folder, file));
    fs.mkdirSync(path.join(folder, 'adapter.next'));
    for (const file of waiting) fs.copyFileSync(path.join(next, file), path.join(folder, 'adapter.next', file));
    return folder;
  }

  it.each([
    ['before the first one was moved', [], ['adapter.safetensors', 'adapter.json']],
    ['between the two', ['adapter.safetensors'], ['adapter.json']],
    ['after both', ['adapter.safetensors', 'adapter.json'], []],
  ])('are the new ones after a crash %s', async (name, moved, waiting) => {
    const folder = crashed(name.replaceAll(' ', '-'), moved, waiting);
    await copyAdapter(folder, `${folder}-copy`);
    expect(await generationsIn(folder)).toEqual([2, 2]);
    expect(await generationsIn(`${folder}-copy`)).toEqual([2, 2]);
    expect(fs.readdirSync(folder).sort()).toEqual(['adapter.json', 'adapter.safetensors']);
  });

  it('are refused where one was replaced without the other', async () => {
    const folder = path.join(work, 'mixed');
    fs.cpSync(old, folder, { recursive: true });
    fs.copyFileSync(path.join(next, 'adapter.safetensors'), path.join(folder, 'adapter.safetensors'));
    await expect(readAdapter(folder)).rejects.toThrow(/is not the file that .*adapter\.json was written with/);
    await expect(copyAdapter(folder, path.join(work, 'copied'))).rejects.toThrow(/don't belong together/);
    expect(fs.existsSync(path.join(work, 'copied'))).toBe(false);
  });

  it('are of one generation for who reads while they are replaced, and after the writer was killed', async () => {
    const folder = path.join(work, 'busy');
    for (const generations of [1, 2, 4, 7]) {
      const writer = fork(WRITER, [folder], { execArgv: ['--import', 'tsx'] });
      await once(writer, 'message');
      const seen = new Set<number>();
      let isGone = false;
      const gone = once(writer, 'exit').then(() => (isGone = true));
      while (!isGone) {
        const [described, held] = await generationsIn(folder);
        expect(held).toBe(described);
        // In the middle of one that comes after those.
        if (seen.add(held!).size > generations) writer.kill('SIGKILL');
      }
      await gone;
      const [described, held] = await generationsIn(folder);
      expect(held).toBe(described);
    }
  });
});
