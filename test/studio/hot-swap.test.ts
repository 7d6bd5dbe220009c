import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DECODER_SITES } from '../../src-main/models/types.ts';
import { ensureDefaultModel } from '../../src-main/models/default-model.ts';
import { Stage } from '../../src-main/studio/stage/stage.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { scratchFolder } from '../support/scratch.ts';

describe('adapters on a loaded SmolLM2-135M', () => {
  const scratch = scratchFolder();
  const stage = new Stage();
  const folders = ['one', 'two', 'three'].map((name) => join(scratch.folder, name));
  let model: string;

  beforeAll(async () => {
    model = await ensureDefaultModel(() => {});
    const options = { rank: 8, heads: 3, alpha: 16, targets: [...DECODER_SITES] };
    for (const [seed, folder] of folders.entries()) await writeRandomAdapter(folder, model, { options, seed });
  });
  afterAll(() => {
    stage.close();
    scratch.remove();
  });

  async function swap(folder: string | undefined): Promise<number> {
    const sampling = { maxTokens: 1, temperature: 0, topP: 1, topK: 0, seed: 0, alternatives: 0 };
    const columns = [{ folder, messages: [{ role: 'user' as const, content: 'Hi' }] }];
    for await (const event of stage.run('generate', { model, engine: 'auto', columns, sampling }))
      if (event.kind === 'ready') return event.milliseconds;
    throw new Error('never ready');
  }

  it('are swapped in a fraction of the time that reading them took, once they were read', async () => {
    await swap(undefined);
    const first: number[] = [];
    for (const folder of folders) first.push(await swap(folder));
    // The quicker of two each: what other processes take of the machine is no part of it.
    const again: number[] = [];
    for (const folder of [...folders, ...folders]) again.push(await swap(folder));
    const shown = (times: number[]) => times.map((ms) => ms.toFixed(1)).join(', ');
    console.log(`adapter swap: ${shown(first)} ms with reading, ${shown(again)} ms without`);
    const swapped = folders.map((_, at) => Math.min(again[at]!, again[at + folders.length]!));
    expect(Math.max(...swapped) / Math.min(...first)).toBeLessThan(1 / 4);
  });
});
