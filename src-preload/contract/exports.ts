import { z } from 'zod';

/** What an adapter can be turned into, with the number types each can have, the first one being the default. */
export const EXPORT_CHOICES = {
  peft: { label: 'PEFT folder (plain LoRA)', types: ['f32'] },
  gguf: { label: 'GGUF LoRA for llama.cpp', types: ['f16', 'f32'] },
  'merged-safetensors': { label: 'Merged model, Hugging Face folder', types: ['bf16', 'f16', 'f32'] },
  'merged-gguf': { label: 'Merged model, GGUF', types: ['f16', 'q8_0', 'q4_0'] },
  effilora: { label: 'EffiLoRA file to share (exact)', types: ['f32'] },
} as const;
export const exportTarget = z.enum(['peft', 'gguf', 'merged-safetensors', 'merged-gguf', 'effilora']);
export type ExportTarget = z.infer<typeof exportTarget>;

export const exportOutcome = z.object({
  folder: z.string(),
  files: z.array(z.object({ name: z.string(), byteLength: z.number() })),
  /** how close it comes to the adapter; nothing for the adapter itself */
  fidelity: z
    .object({
      form: z.string(),
      rank: z.number(),
      /** relative output error */
      error: z.object({ exported: z.number(), averaged: z.number() }),
      heldOut: z.object({ base: z.number(), exact: z.number(), exported: z.number() }).nullable(),
      gainKept: z.number().nullable(),
      alternative: z.object({ form: z.string(), rank: z.number(), gainKept: z.number() }).nullable(),
      summary: z.string(),
    })
    .nullable(),
  /** the library's entry, where it was asked for */
  adapterId: z.string().nullable(),
});
export type ExportOutcome = z.infer<typeof exportOutcome>;
