import { eventIterator, oc } from '@orpc/contract';
import { z } from 'zod';

/** Adapters at once at most. */
export const MOST_SERVED = 32;

/** A base model and adapters on it that other programs can talk to. */
const served = z.object({
  /** base URL for OpenAI's clients, `http://…/v1` */
  url: z.string(),
  /** the API key clients give, on this machine, too: others may be logged in to it; null for guests of the studio */
  token: z.string().nullable(),
  /** what `model` may be in a request: the base model first, whose adapter is null, then the adapters */
  models: z.array(z.object({ name: z.string(), adapterId: z.string().nullable() })),
});
export type Served = z.infer<typeof served>;

export const serving = {
  /** loads a base model and adapters on it and serves them; what was served before is stopped */
  start: oc
    .input(
      z.object({
        ids: z.array(z.string().min(1).max(64)).min(1).max(MOST_SERVED),
        /** 0 takes a free one */
        port: z.number().int().min(0).max(65_535).default(8080),
        /** for the whole network rather than this machine alone */
        network: z.boolean().default(false),
      }),
    )
    .output(served),
  stop: oc.output(z.object({})),
  /** what is served, again whenever that changes */
  watch: oc.output(eventIterator(served.nullable())),
};
