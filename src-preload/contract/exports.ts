import { z } from 'zod';
import { EXPORT_TARGETS } from './choices.ts';

export const exportTarget = z.enum(EXPORT_TARGETS);
export type { ExportTarget } from './choices.ts';

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
  /** why it could not be added to the library, where that was asked for */
  notKept: z.string().optional(),
});
export type ExportOutcome = z.infer<typeof exportOutcome>;
