import fs from 'node:fs';
import fsp from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openEngine } from '../../../src-main/engine/index.ts';
import { openTextModel } from '../../../src-main/models/open.ts';
import { encodeSafetensors } from '../../../src-main/models/safetensors.ts';
import { VisionLanguageModel } from '../../../src-main/models/vision/vision-language.ts';
import { readAll } from './support.ts';

const data = path.join(import.meta.dirname, '../data');
const whole = path.join(data, 'vision/models/idefics3');
let folder: string;

type Json = Record<string, unknown>;
const configOf = (place: string) => JSON.parse(fs.readFileSync(path.join(place, 'config.json'), 'utf8')) as Json;

async function write(place: string, config: Json, nameOf: (name: string) => string | undefined): Promise<void> {
  await fsp.mkdir(place, { recursive: true });
  await fsp.writeFile(path.join(place, 'config.json'), JSON.stringify(config));
  const tensors = [...(await readAll(path.join(whole, 'model.safetensors')))].flatMap(([name, { shape, values }]) => {
    const own = nameOf(name);
    return own === undefined ? [] : [{ name: own, dtype: 'F32' as const, shape, data: values }];
  });
  await fsp.writeFile(path.join(place, 'model.safetensors'), encodeSafetensors(tensors));
}

/** The model in two: tower and connector alone, and in a folder inside its language model with a tokenizer. */
async function writeInTwo(change: Json = {}): Promise<void> {
  const config = configOf(whole);
  const isText = (name: string) => /text_model|lm_head/.test(name);
  await write(folder, { ...config, effilora_text_model: 'text', ...change }, (name) => (isText(name) ? undefined : name)); // prettier-ignore
  const text = (name: string) => (isText(name) ? name.replace('text_model.', '') : undefined);
  await write(path.join(folder, 'text'), config.text_config as Json, text);
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja'])
    await fsp.copyFile(path.join(data, 'tokenizer', name), path.join(folder, 'text', name));
}

beforeEach(async () => {
  folder = await fsp.mkdtemp(path.join(os.tmpdir(), 'seeing-'));
});
afterEach(() => fsp.rm(folder, { recursive: true }));

describe('a folder whose text side is another model', () => {
  it('is the model that one folder with both is', async () => {
    await openEngine('cpu');
    await writeInTwo();
    const before = tf.memory().numTensors;
    const [file, other] = [await openTextModel(folder), await openTextModel(whole)];
    expect(file.sees).toEqual({ ...other.sees, place: folder });
    expect(file.config).toEqual(expect.objectContaining({ ...other.config, eosTokenIds: expect.anything() as number[] })); // prettier-ignore
    expect(file.name).toBe(path.basename(folder));
    const [model, same] = [await VisionLanguageModel.load(file), await VisionLanguageModel.load(other)];
    expect(model.matrices.map(({ shape }) => shape)).toEqual(same.matrices.map(({ shape }) => shape));
    for (const [i, site] of model.sites().entries()) {
      const [ours, theirs] = [model.siteWeight(site), same.siteWeight(same.sites()[i]!)];
      expect(await ours.data()).toEqual(await theirs.data());
      tf.dispose([ours, theirs]);
    }
    // In f32, so that none is packed.
    for (const [name, tensor] of model.vision.tensors)
      expect(await (tensor as tf.Tensor).data()).toEqual(await (same.vision.tensors.get(name) as tf.Tensor).data());
    model.dispose();
    same.dispose();
    expect(tf.memory().numTensors).toBe(before);
    await file.close();
    await other.close();
  });

  it('is another one by its hash when its tower or its language model is', async () => {
    const hash = async () => {
      const file = await openTextModel(folder);
      await file.close();
      return file.sha256();
    };
    await writeInTwo();
    const hashes = [await hash()];
    for (const place of ['model.safetensors', 'text/model.safetensors']) {
      const bytes = await fsp.readFile(path.join(folder, place));
      bytes[bytes.length - 1]! ^= 1;
      await fsp.writeFile(path.join(folder, place), bytes);
      hashes.push(await hash());
    }
    expect(new Set(hashes).size).toBe(3);
  });

  it('reads texts by the tokens and the template that it names anew', async () => {
    await writeInTwo();
    const plain = await openTextModel(folder);
    const last = plain.tokenizer!.vocabularySize - 1;
    const before = plain.tokenizer!.encode('What is it?');
    await plain.close();
    const names = { added_tokens_decoder: { [last]: { content: '<image>' } }, chat_template: '{{ messages[0].content }}<image>' }; // prettier-ignore
    await fsp.writeFile(path.join(folder, 'tokenizer_config.json'), JSON.stringify(names));
    const { tokenizer, chatTemplate, close } = await openTextModel(folder);
    expect(tokenizer!.encode('What is it?')).toEqual(before);
    expect(tokenizer!.encode('What<image> is it?').filter((id) => id === last)).toHaveLength(1);
    expect(tokenizer!.decode([last])).toBe('<image>');
    expect(tokenizer!.decode([last], { skipSpecialTokens: true })).toBe('');
    expect(chatTemplate!.render([{ role: 'user', content: 'a' }])).toBe('a<image>');
    await close();
  });

  it.each([
    [{ effilora_text_model: '../elsewhere' }, 'effilora_text_model is "../elsewhere"'],
    [{ effilora_text_model: '.' }, 'effilora_text_model is "."'],
    [{ effilora_text_model: 'gone.gguf' }, 'effilora_text_model is "gone.gguf"'],
    [{ effilora_text_model: 7 }, '"effilora_text_model"'],
    [{ image_token_id: 40 }, 'image_token_id 40'],
    [{ image_token_id: null }, '"image_token_id"'],
    [{ text_config: { hidden_size: 16 } }, 'pictures become 16 numbers a token, and the language model takes 12'],
  ])('is refused by name where they do not belong together: %j', async (change, what) => {
    await writeInTwo(change);
    await expect(openTextModel(folder)).rejects.toThrow(what);
  });

  it('is refused where its names are two tokens’ or none’s, or where its text model is a link that leads out of it', async () => {
    await writeInTwo();
    const named = async (tokens: object) =>
      fsp.writeFile(path.join(folder, 'tokenizer_config.json'), JSON.stringify({ added_tokens_decoder: tokens }));
    await named({ 4: { content: '<image>' }, 5: { content: '<image>' } });
    await expect(openTextModel(folder)).rejects.toThrow('"<image>" to more than one token');
    await named({ 4_000_000: { content: '<image>' } });
    await expect(openTextModel(folder)).rejects.toThrow('names token 4000000');
    await fsp.rm(path.join(folder, 'text'), { recursive: true });
    await fsp.symlink(path.join(data, 'llama-tied'), path.join(folder, 'text'));
    await expect(openTextModel(folder)).rejects.toThrow('effilora_text_model is "text"');
  });
});
