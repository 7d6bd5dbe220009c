import fs from 'node:fs';
import path from 'node:path';
import { planColumns } from '../../src-main/data/columns.ts';
import { isBroken, openRows } from '../../src-main/data/formats/rows.ts';
import { readExample } from '../../src-main/data/read-example.ts';
import { checkAdapterTensors } from '../../src-main/effilora/adapter-file.ts';
import { readAnyAdapter } from '../../src-main/exports/read-any.ts';
import { chatTemplate } from '../../src-main/models/chat-template.ts';
import { FileReader } from '../../src-main/models/file-reader.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { readFloats, readSafetensorsHeader } from '../../src-main/models/safetensors.ts';
import type { ChatTemplate, ModelConfig } from '../../src-main/models/types.ts';
import { modelSites } from '../../src-main/models/weights.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';

/** What a reader is made to do with a changed input. */
export type Target = (place: string, config: ModelConfig) => Promise<void>;

async function model(place: string): Promise<void> {
  const file = await openTextModel(place);
  try {
    const ids = file.tokenizer?.encode('Hello wörld, 12 ③\n', { addSpecialTokens: true });
    if (ids) file.tokenizer!.decode(ids);
    if (file.chatTemplate) render(file.chatTemplate);
    for (const { name } of file.tensors.slice(0, 3)) await file.readTensor(name);
  } finally {
    await file.close();
  }
}

function render(template: ChatTemplate): void {
  const messages = [{ role: 'user' as const, content: 'Hi' }, { role: 'assistant' as const, content: ' Hello. ' }]; // prettier-ignore
  template.render(messages, { addGenerationPrompt: true });
}

async function safetensors(place: string): Promise<void> {
  const reader = await FileReader.open(place);
  try {
    const { tensors } = await readSafetensorsHeader(reader);
    for (const entry of tensors.values()) await readFloats(reader, entry);
  } finally {
    await reader.close();
  }
}

async function adapter(place: string, config: ModelConfig): Promise<void> {
  const { description, tensors } = await readAnyAdapter(place, config);
  checkAdapterTensors(tensors, modelSites(config), description, place);
}

async function rows(place: string): Promise<void> {
  const source = await openRows(place);
  // A workbook of kinds and values is a dataset of no form.
  const plan = planColumns(
    source.columns,
    place,
    source.columns.includes('kind') ? { instruction: 'kind', output: 'value' } : {},
  );
  for await (const batch of source.rows()) for (const row of batch) if (!isBroken(row)) readExample(row, plan);
}

/** By name; the file that is opened, or undefined for the whole folder. */
export const TARGETS: Record<string, { open: Target; file?: string }> = {
  gguf: { open: model, file: 'model.gguf' },
  folder: { open: model },
  safetensors: { open: safetensors, file: 'model.safetensors' },
  peft: { open: adapter },
  mlx: { open: adapter },
  adapter: { open: adapter },
  share: { open: adapter, file: 'adapter.effilora' },
  'gguf-lora': { open: adapter, file: 'lora.gguf' },
  template: {
    file: 'chat_template.jinja',
    open: async (place) => render(chatTemplate(fs.readFileSync(place, 'utf8'), { bos: '<s>', eos: '</s>' }, place)),
  },
  recipe: {
    file: 'recipe.yaml',
    open: async (place) => void parseRecipe(fs.readFileSync(place, 'utf8'), path.basename(place)),
  },
  jsonl: { open: rows, file: 'rows.jsonl' },
  json: { open: rows, file: 'rows.json' },
  csv: { open: rows, file: 'rows.csv' },
  excel: { open: rows, file: 'rows.xlsx' },
  'excel-parts': { open: rows, file: 'rows.xlsx' },
  parquet: { open: rows, file: 'rows.parquet' },
};
