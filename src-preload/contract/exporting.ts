import { oc } from '@orpc/contract';
import { z } from 'zod';
import { EXPORT_FORMS } from './choices.ts';
import { exportTarget } from './exports.ts';
import { job } from './jobs.ts';

export const exporting = {
  /** a job that writes into a new folder of the studio's, and remembers it in the adapter's lineage */
  start: oc
    .input(
      z.object({
        id: z.string().min(1).max(64),
        to: exportTarget,
        type: z.enum(['f32', 'f16', 'bf16', 'q8_0', 'q4_0', 'same']).optional(),
        form: z.enum(EXPORT_FORMS).default('rank-r'),
        /** share of the heads to leave out, least important first */
        drop: z.number().min(0).max(1).optional(),
        /** dataset to calibrate on; default: the adapter's own training data */
        calibrate: z.string().min(1).max(4096).optional(),
        /** a PEFT folder enters the library as well, to be tried beside the exact adapter */
        keep: z.boolean().default(false),
      }),
    )
    .output(job),
};
