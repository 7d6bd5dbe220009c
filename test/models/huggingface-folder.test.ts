import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import type { ChatMessage, ModelFile } from '../../src-main/models/types.ts';
import { data } from './support.ts';

/** What transformers does with the same files (data/make_tokenizer.py). */
const expected = JSON.parse(fs.readFileSync(path.join(data, 'tokenizer', 'expected.json'), 'utf8')) as {
  texts: { text: string; ids: number[]; withSpecial: number[] }[];
  chats: ChatMessage[][];
  rendered: string[];
  renderedSmolLM2: string[];
};

const rendered = (file: ModelFile) =>
  expected.chats.flatMap((chat) =>
    [false, true].map((addGenerationPrompt) => file.chatTemplate!.render(chat, { addGenerationPrompt })),
  );

describe('a Hugging Face folder', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-folder-'));
  let file: ModelFile;
  beforeAll(async () => {
    for (const source of ['llama-tied', 'tokenizer']) fs.cpSync(path.join(data, source), folder, { recursive: true });
    file = await openTextModel(folder);
  });
  afterAll(async () => {
    await file.close();
    fs.rmSync(folder, { recursive: true });
  });

  it.each(expected.texts)('cuts $text as transformers does', ({ text, ids, withSpecial }) => {
    expect(file.tokenizer!.encode(text)).toEqual(ids);
    expect(file.tokenizer!.encode(text, { addSpecialTokens: true })).toEqual(withSpecial);
    expect(file.tokenizer!.decode(ids)).toBe(text);
  });

  it('renders its chat template as transformers does', () => expect(rendered(file)).toEqual(expected.rendered));

  it('knows its special tokens', () => {
    const [begin, end] = ['<|begin|>', '<|end|>'].map((text) => file.tokenizer!.encode(text)[0]);
    expect(file.tokenizer!.bosTokenId).toBe(begin);
    expect(file.tokenizer!.eosTokenIds).toContain(end);
  });

  it('opens without a tokenizer', async () => {
    const bare = await openTextModel(path.join(data, 'llama-tied'));
    expect(bare.tokenizer).toBeUndefined();
    expect(bare.chatTemplate).toBeUndefined();
    await bare.close();
  });

  it("names the file whose content is broken, and the configuration's field", async () => {
    const broken = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-broken-'));
    fs.cpSync(path.join(data, 'llama-tied'), broken, { recursive: true });
    const config = JSON.parse(fs.readFileSync(path.join(broken, 'config.json'), 'utf8')) as Record<string, unknown>;
    const write = (changes: object) =>
      fs.writeFileSync(path.join(broken, 'config.json'), JSON.stringify({ ...config, ...changes }));
    write({ num_hidden_layers: 1e7 });
    await expect(openTextModel(broken)).rejects.toThrow(/config\.json.*num_hidden_layers/);
    write({ model_type: 'mamba' });
    await expect(openTextModel(broken)).rejects.toThrow(/"mamba" is not supported; supported are llama/);
    write({ num_key_value_heads: 3 });
    await expect(openTextModel(broken)).rejects.toThrow(/over 3/);
    fs.writeFileSync(path.join(broken, 'config.json'), '{');
    await expect(openTextModel(broken)).rejects.toThrow(/config\.json is not valid JSON/);
    write({});
    fs.writeFileSync(path.join(broken, 'tokenizer.json'), '[]]');
    await expect(openTextModel(broken)).rejects.toThrow(/tokenizer\.json is not valid JSON/);
    for (const content of ['[]', 'null', '{"model":{"type":"BPE"}}', '{"model":{"type":"Magic"},"added_tokens":[]}']) {
      fs.writeFileSync(path.join(broken, 'tokenizer.json'), content);
      await expect(openTextModel(broken)).rejects.toThrow(/tokenizer\.json is no tokenizer/);
    }
    fs.rmSync(broken, { recursive: true });
  });
});

it("renders a GGUF's chat template as transformers does", async () => {
  const file = await openTextModel(await resolveModel('smollm2-135m'));
  expect(rendered(file)).toEqual(expected.renderedSmolLM2);
  await file.close();
});
