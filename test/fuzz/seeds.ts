import fs from 'node:fs';
import path from 'node:path';
import { buffer } from 'node:stream/consumers';
import { openPromise } from 'yauzl';
import { stringify } from 'yaml';
import { ZipFile } from 'yazl';
import { ggufValue } from '../../src-main/models/gguf/write.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { writeGgufLora } from '../../src-main/exports/gguf-lora.ts';
import { writeShareFile } from '../../src-main/exports/share-file.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { randomAdapter, writeRandomAdapter } from '../exports/support.ts';
import { writeGgufVariant } from '../support/gguf-variant.ts';
import { writeTinyChatModel } from '../support/tiny-chat-model.ts';
import { TINY_MODEL } from '../trainer/support.ts';

const TEST = path.join(import.meta.dirname, '..');

const ROWS = [
  { messages: [{ role: 'user', content: 'What is 2 + 2?' }, { role: 'assistant', content: 'Four: ③' }] },
  { messages: [{ role: 'system', content: 'Be short.' }, { role: 'user', content: 'Hi' }, { role: 'assistant', content: 'Hello.' }] },
]; // prettier-ignore
const FLAT = [
  { instruction: 'Say hi', input: '', output: 'Hi, "friend"' },
  { instruction: 'Add', input: '1, 2', output: '3\n' },
];
const TEMPLATE =
  "{% for message in messages %}{% if loop.first and message.role != 'system' %}{{ bos_token }}{% endif %}<|{{ message.role }}|>{{ message.content | trim }}{{ eos_token }}\n{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";

/** Writes whole, valid inputs of every reader into folders of their own, to be changed: by the target's name. */
export async function writeSeeds(root: string): Promise<void> {
  await openEngine('cpu');
  const at = (...names: string[]) => {
    const place = path.join(root, ...names);
    fs.mkdirSync(path.dirname(place), { recursive: true });
    return place;
  };
  const template = {
    'tokenizer.chat_template': ggufValue.string(TEMPLATE),
    'llama.rope.scaling.factor': ggufValue.f32(2),
  };
  await writeGgufVariant(at('gguf', 'model.gguf'), 'llama-tied', { metadata: template });
  writeTinyChatModel(at('folder', 'x', '..'));
  fs.writeFileSync(at('folder', 'generation_config.json'), JSON.stringify({ eos_token_id: [1, 2] }));
  fs.copyFileSync(path.join(TINY_MODEL, 'model.safetensors'), at('safetensors', 'model.safetensors'));
  for (const kind of ['rank-and-alpha-pattern', 'mlx-dora'])
    fs.cpSync(path.join(TEST, 'trainer/data/adapters', kind), at(kind === 'mlx-dora' ? 'mlx' : 'peft', 'x', '..'), {
      recursive: true,
    });
  await writeRandomAdapter(at('adapter', 'x', '..'), TINY_MODEL);
  const stored = await randomAdapter(TINY_MODEL);
  await writeShareFile(at('share', 'adapter.effilora'), stored, { card: '# Card', headMap: '<svg/>', samples: [] });
  const lora = await randomAdapter(TINY_MODEL, { name: 'lora', heads: 1 });
  const { config, close } = await openTextModel(TINY_MODEL);
  await close();
  await writeGgufLora(
    at('gguf-lora', 'lora.gguf'),
    { options: lora.description.method, tensors: lora.tensors },
    config,
    'lora',
    'f32',
  );
  fs.writeFileSync(at('template', 'chat_template.jinja'), TEMPLATE);
  const recipe = { model: 'm.gguf', dataset: [{ path: 'a.jsonl', weight: 2 }], method: { rank: 4, reducer: { ratio: 0.5, warmup: 4 } }, training: { steps: 5 } }; // prettier-ignore
  fs.writeFileSync(at('recipe', 'recipe.yaml'), stringify(recipe));
  fs.writeFileSync(at('jsonl', 'rows.jsonl'), ROWS.map((row) => JSON.stringify(row)).join('\n'));
  fs.writeFileSync(at('json', 'rows.json'), JSON.stringify(FLAT));
  fs.writeFileSync(at('csv', 'rows.csv'), 'instruction,input,output\n"Say ""hi""",,Hi\nAdd,"1, 2",3\n');
  fs.copyFileSync(path.join(TEST, 'data/fixtures/instructions-gzip.parquet'), at('parquet', 'rows.parquet'));
  fs.copyFileSync(path.join(TEST, 'data/fixtures/sheets.xlsx'), at('excel', 'rows.xlsx'));
  await storeParts(path.join(TEST, 'data/fixtures/values.xlsx'), at('excel-parts', 'rows.xlsx'));
}

/** Writes a zip's parts unpacked into another: a change to a packed one is mostly no XML any more. */
async function storeParts(from: string, to: string): Promise<void> {
  const zip = new ZipFile();
  const packed = await openPromise(from, { autoClose: false });
  for await (const entry of packed.eachEntry()) {
    const content = await buffer(await packed.openReadStreamPromise(entry));
    zip.addBuffer(content, entry.fileName, { compress: false });
  }
  packed.close();
  zip.end();
  fs.writeFileSync(to, await buffer(zip.outputStream));
}
