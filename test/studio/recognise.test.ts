import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ggufValue, writeGguf } from '../../src-main/models/gguf/write.ts';
import { writeSafetensors } from '../../src-main/models/safetensors-write.ts';
import { recognise } from '../../src-main/studio/work/recognise.ts';
import { scratchFolder } from '../support/scratch.ts';

describe('what a file or folder is', () => {
  const scratch = scratchFolder();
  afterAll(() => scratch.remove());
  const at = (name: string) => join(scratch.folder, name);
  const folder = (name: string, files: string[]) => {
    mkdirSync(at(name));
    for (const file of files) writeFileSync(join(at(name), file), '{}');
  };

  it('says what its name, or what lies in it, says', async () => {
    writeFileSync(at('Tickets.XLSX'), '');
    writeFileSync(at('rows.jsonl.gz'), '');
    writeFileSync(at('shared.effilora'), '');
    folder('own', ['adapter.json', 'adapter.safetensors', 'README.md']);
    folder('peft', ['adapter_config.json', 'adapter_model.safetensors', 'config.json']);
    folder('model', ['config.json', 'model.safetensors', 'tokenizer.json']);
    folder('weights', ['some.safetensors', 'README.md']);
    folder('splits', ['train.parquet', 'test.parquet', 'README.md']);
    const found = Object.fromEntries(
      await Promise.all(
        ['Tickets.XLSX', 'rows.jsonl.gz', 'shared.effilora', 'own', 'peft', 'model', 'weights', 'splits'].map(
          async (name) => [name, await recognise(at(name))] as const,
        ),
      ),
    );
    expect(found).toEqual({
      ...{ 'Tickets.XLSX': 'dataset', 'rows.jsonl.gz': 'dataset', splits: 'dataset', model: 'model' },
      ...{ 'shared.effilora': 'adapter', own: 'adapter', peft: 'adapter', weights: 'adapter' },
    });
  });

  it('knows a model that makes pictures by its index, and one in a file by the autoencoder in it', async () => {
    folder('painter', ['model_index.json']);
    for (const [file, name] of [
      ['whole.safetensors', 'first_stage_model.decoder.conv_in.weight'],
      ['lora.safetensors', 'lora_unet_mid_block.lora_up.weight'],
    ] as const) {
      const tensor = { name, dtype: 'F32' as const, shape: [1], bytes: () => Promise.resolve(new Uint8Array(4)) };
      await writeSafetensors(at(file), [tensor], {}, () => {});
    }
    const found = ['painter', 'whole.safetensors', 'lora.safetensors'].map((name) => recognise(at(name)));
    expect(await Promise.all(found)).toEqual(['model', 'model', 'adapter']);
  });

  it('asks a GGUF file whether it is an adapter', async () => {
    const entry = (type: string) => new Map([['general.type', ggufValue.string(type)]]);
    await writeGguf(at('lora.gguf'), entry('adapter'), []);
    await writeGguf(at('whole.gguf'), entry('model'), []);
    expect([await recognise(at('lora.gguf')), await recognise(at('whole.gguf'))]).toEqual(['adapter', 'model']);
    writeFileSync(at('broken.gguf'), 'GGUF and no more');
    await expect(recognise(at('broken.gguf'))).rejects.toThrow(/broken\.gguf/);
  });

  it('refuses in a sentence what it is no place for', async () => {
    writeFileSync(at('beach.jpg'), 'sea');
    folder('holiday', ['beach.jpg']);
    folder('empty', []);
    for (const name of ['beach.jpg', 'empty'])
      await expect(recognise(at(name))).rejects.toThrow(`${name} is nothing the studio reads`);
    await expect(recognise(at('holiday'))).rejects.toThrow(
      /holiday holds pictures, and no table .* Put a metadata\.csv/,
    );
    await expect(recognise(at('gone.csv'))).rejects.toThrow("gone.csv isn't there any more.");
  });
});
