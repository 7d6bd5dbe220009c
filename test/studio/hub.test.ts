import { randomBytes } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HubClient } from '../../src-main/studio/hub/client.ts';
import { choicesOf, WHOLE_MODEL } from '../../src-main/studio/hub/choices.ts';
import { Downloads } from '../../src-main/studio/hub/downloads.ts';
import type { Download } from '../../src-preload/contract/index.ts';
import { startHub } from './support/hub.ts';
import { scratchFolder } from '../support/scratch.ts';

const FILES = {
  'config.json': Buffer.from('{"architectures":["LlamaForCausalLM"]}'),
  'tokenizer.json': Buffer.from('{}'),
  'README.md': Buffer.from('# tiny'),
  'model.safetensors': randomBytes(300_000),
  'tiny-q8_0.gguf': randomBytes(200_000),
  'tiny-00002-of-00003.gguf': randomBytes(10),
  'data/train.jsonl': Buffer.from('{"text":"a"}\n'),
};

let scratch: ReturnType<typeof scratchFolder>;
let hub: Awaited<ReturnType<typeof startHub>>;
let downloads: Downloads;
let client: HubClient;
let arrived: string[];
beforeEach(async () => {
  scratch = scratchFolder();
  hub = await startHub(FILES);
  arrived = [];
  client = new HubClient(async () => 'hf_secret', hub.url);
  downloads = new Downloads(
    client,
    () => scratch.folder,
    async (_, path) => void arrived.push(path),
  );
});
afterEach(async () => {
  downloads.close();
  await hub.close();
  scratch.remove();
});

const wanted = { kind: 'model' as const, repository: 'acme/tiny', choice: WHOLE_MODEL };

/** The download as it stands once it no longer runs. */
async function ended(id: string): Promise<Download> {
  for await (const list of downloads.watch(undefined)) {
    const one = list.find((entry) => entry.id === id)!;
    if (one.state !== 'running') return one;
  }
  throw new Error('the list ended');
}

describe('hub', () => {
  it('finds repositories, sends the token along, and offers only what can be used', async () => {
    expect(await client.search('model', 'tiny')).toEqual([
      { repository: 'acme/tiny', downloads: 12, likes: 3, gated: false, licence: 'apache-2.0' },
    ]);
    expect(hub.asked[0]!.authorization).toBe('Bearer hf_secret');
    const choices = choicesOf('model', await client.files('model', 'acme/tiny'));
    // No README, no part of a split file, no way out of the folder.
    expect(choices).toEqual([
      { name: WHOLE_MODEL, files: 3, bytes: 300_000 + 38 + 2 },
      { name: 'tiny-q8_0.gguf', files: 1, bytes: 200_000 },
    ]);
    const data = choicesOf('dataset', await client.files('dataset', 'acme/rows'));
    expect(data.map(({ name }) => name)).toContain('data/train.jsonl');
  });

  it('brings a whole model, verified, and hands its folder on', async () => {
    const { id } = await downloads.start(wanted);
    const end = await ended(id);
    const folder = join(scratch.folder, 'acme--tiny');
    expect(end).toMatchObject({ state: 'done', bytes: end.ofBytes, path: folder });
    expect(arrived).toEqual([folder]);
    expect(readdirSync(folder).sort()).toEqual(['config.json', 'model.safetensors', 'tokenizer.json']);
    expect(readFileSync(join(folder, 'model.safetensors')).equals(FILES['model.safetensors'])).toBe(true);
  });

  it('goes on where the connection broke', async () => {
    let cut = () => {};
    hub.faults.cut = { after: 120_000, when: new Promise((resolve) => (cut = resolve)) };
    const single = { ...wanted, choice: 'tiny-q8_0.gguf' };
    const target = join(scratch.folder, 'acme--tiny', 'tiny-q8_0.gguf');
    const { id } = await downloads.start(single);
    await vi.waitFor(() => expect(statSync(`${target}.part`).size).toBeGreaterThan(0), 30_000);
    cut();
    expect(await ended(id)).toMatchObject({
      state: 'failed',
      message: expect.stringContaining('goes on where it was'),
    });
    expect(existsSync(target)).toBe(false);
    const kept = readFileSync(`${target}.part`).length;
    expect(kept).toBeGreaterThan(0);
    expect(await ended((await downloads.start(single)).id)).toMatchObject({ state: 'done', path: target });
    expect(hub.asked.at(-1)!.range).toBe(`bytes=${kept}-`);
    expect(readFileSync(target).equals(FILES['tiny-q8_0.gguf'])).toBe(true);
  });

  it('throws away what is not what the hub named', async () => {
    hub.faults.spoil = true;
    const single = { ...wanted, choice: 'tiny-q8_0.gguf' };
    const end = await ended((await downloads.start(single)).id);
    expect(end).toMatchObject({ state: 'failed', message: expect.stringContaining('checksum differs') });
    expect(readdirSync(join(scratch.folder, 'acme--tiny'))).toEqual([]);
    expect(arrived).toEqual([]);
  });

  it('says in a sentence what is wrong: an agreement, a name, no network', async () => {
    await expect(client.open('model', 'acme/gated', 'x', 0, new AbortController().signal)).rejects.toThrow(/agreement/);
    await expect(client.files('model', 'acme/none')).rejects.toThrow(/no such repository/);
    await expect(downloads.start({ ...wanted, choice: 'gone.gguf' })).rejects.toThrow(/no "gone.gguf" any more/);
    await hub.close();
    await expect(client.search('model', 'tiny')).rejects.toThrow(/can't be reached/);
  });
});
