import type { HubChoice } from '../../../src-preload/contract/index.ts';
import type { HubFile, HubKind } from './client.ts';

export const WHOLE_MODEL = 'The whole model (safetensors)';

const MODEL_FILE =
  /^(model[^/]*\.safetensors|model\.safetensors\.index\.json|(generation_)?config\.json|tokenizer[^/]*|special_tokens_map\.json|vocab\.[^/]+|merges\.txt|chat_template\.(jinja|json))$/;
const DATA_FILE = /\.(jsonl|json|csv|tsv|parquet|xlsx)(\.gz)?$/;

/** The files that a choice stands for; none when there is no such choice. */
export function filesOf(kind: HubKind, files: HubFile[], choice: string): HubFile[] {
  if (kind === 'model' && choice === WHOLE_MODEL) return files.filter(({ path }) => MODEL_FILE.test(path));
  return files.filter(({ path }) => path === choice && isSingle(kind, path));
}

/** What of a repository's files the studio can use. */
export function choicesOf(kind: HubKind, files: HubFile[]): HubChoice[] {
  const single = files.filter(({ path }) => isSingle(kind, path));
  const choices = single.map(({ path, bytes }) => ({ name: path, files: 1, bytes }));
  const whole = kind === 'model' ? filesOf(kind, files, WHOLE_MODEL) : [];
  if (!whole.some(({ path }) => path.endsWith('.safetensors'))) return choices;
  return [
    { name: WHOLE_MODEL, files: whole.length, bytes: whole.reduce((sum, { bytes }) => sum + bytes, 0) },
    ...choices,
  ];
}

function isSingle(kind: HubKind, path: string): boolean {
  // Parts of a split GGUF and vision projectors are no models of their own.
  if (kind === 'model') return /\.gguf$/i.test(path) && !/-\d{5}-of-\d{5}|mmproj/i.test(path);
  return DATA_FILE.test(path);
}
