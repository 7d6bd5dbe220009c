import { oc } from '@orpc/contract';
import { z } from 'zod';

/** Something on the disk that can go. */
export const spareItem = z.object({
  id: z.string(),
  kind: z.enum(['checkpoints', 'trash', 'prepared', 'model', 'dataset', 'upload', 'export']),
  name: z.string(),
  /** what goes with it, or stays, as a sentence */
  note: z.string(),
  bytes: z.number(),
});
export type SpareItem = z.infer<typeof spareItem>;

export const storage = {
  /** largest first */
  spare: oc.output(z.array(spareItem)),
  /** deletes these for good; what is used by now, or gone, is passed over and said */
  free: oc
    .input(z.object({ ids: z.array(z.string().max(4096)).min(1).max(10_000) }))
    .output(z.object({ freedBytes: z.number(), kept: z.array(z.object({ name: z.string(), why: z.string() })) })),
};
