/** What the page offers to choose from: without the schemas, whose library it has no use for. */

/** How linears are adapted. */
export const METHOD_NAMES = ['effilora', 'hydralora', 'lora', 'adalora', 'vera'] as const;
/** Whether a router weighs a place's heads; without one it has one. */
export const hasRouter = (method: string): boolean => method === 'effilora' || method === 'hydralora';

/** What an adapter can be turned into, with the number types each can have, the first one being the default; `same`: as the base model has them. */
export const EXPORT_CHOICES = {
  peft: { label: 'PEFT folder', types: ['f32'] },
  gguf: { label: 'GGUF LoRA for llama.cpp', types: ['f16', 'f32'] },
  'merged-safetensors': { label: 'Merged model, Hugging Face folder', types: ['bf16', 'f16', 'f32'] },
  'merged-gguf': { label: 'Merged model, GGUF', types: ['f16', 'q8_0', 'q4_0'] },
  diffusers: { label: 'LoRA for diffusers', types: ['f32'], ofPictures: true },
  kohya: { label: 'LoRA for ComfyUI, A1111 and Forge (kohya)', types: ['f32'], ofPictures: true },
  'merged-diffusers': { label: 'Merged model, diffusers folder', types: ['same'], ofPictures: true },
  'merged-checkpoint': {
    label: 'Merged model, one file for ComfyUI, A1111 and Forge',
    types: ['same'],
    ofPictures: true,
  },
  effilora: { label: 'EffiLoRA file to share (exact)', types: ['f32'] },
} as const;
export type ExportTarget = keyof typeof EXPORT_CHOICES;
export const EXPORT_TARGETS = Object.keys(EXPORT_CHOICES) as [ExportTarget, ...ExportTarget[]];

/** rank-r: the adapter's own A. rank-nr: a plain LoRA of N times the rank, larger and more faithful. */
export const EXPORT_FORMS = ['rank-r', 'rank-nr'] as const;
export type ExportForm = (typeof EXPORT_FORMS)[number];

/** How noise is taken out of a picture, step by step. */
export const SAMPLERS = ['ddim', 'euler', 'euler-ancestral', 'dpm++-2m', 'dpm++-2m-karras', 'flow-euler'] as const;

/** How texts are written as bytes, where a file doesn't say so. */
export const TEXT_ENCODINGS = {
  'windows-1252': 'Western European (Windows)',
  'windows-1250': 'Central European (Windows)',
  'windows-1251': 'Cyrillic (Windows)',
  'windows-1253': 'Greek (Windows)',
  'windows-1254': 'Turkish (Windows)',
  macintosh: 'Western European (old Macs)',
  shift_jis: 'Japanese (Shift JIS)',
  gbk: 'Chinese (GBK)',
  'euc-kr': 'Korean (EUC)',
} as const;

/** How the columns of a dataset are read. */
export const EXAMPLE_FORMATS = ['instruction', 'completion', 'chat', 'text', 'tokens'] as const;

/** A person's own words on a run or an adapter. */
export const MOST_TAGS = 32;
export const MOST_TAG_LETTERS = 40;
/** A person's notes on a run. */
export const MOST_RUN_NOTES = 4_000;

/** Conversations side by side. */
export const MOST_COLUMNS = 6;
