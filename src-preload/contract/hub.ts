import { eventIterator, oc } from '@orpc/contract';
import { z } from 'zod';

/** `owner/name`, as hubs spell it. */
const repository = z.string().regex(/^[\w.-]{1,96}\/[\w.-]{1,96}$/);
const kind = z.enum(['model', 'dataset']);

export const hubEntry = z.object({
  repository: z.string(),
  downloads: z.number(),
  likes: z.number(),
  licence: z.string().nullable(),
  /** its owner asks for an agreement: a token is needed */
  gated: z.boolean(),
});
export type HubEntry = z.infer<typeof hubEntry>;

/** Something in a repository that can be downloaded as one: a model's folder, one GGUF file, one data file. */
export const hubChoice = z.object({ name: z.string(), files: z.number(), bytes: z.number() });
export type HubChoice = z.infer<typeof hubChoice>;

export const download = z.object({
  id: z.string(),
  kind,
  repository: z.string(),
  choice: z.string(),
  state: z.enum(['running', 'done', 'cancelled', 'failed']),
  bytes: z.number(),
  ofBytes: z.number(),
  message: z.string().nullable(),
  /** where it lies, once it is done */
  path: z.string().nullable(),
});
export type Download = z.infer<typeof download>;

export const hub = {
  search: oc.input(z.object({ kind, query: z.string().trim().min(2).max(200) })).output(z.array(hubEntry)),
  choices: oc.input(z.object({ kind, repository })).output(z.array(hubChoice)),
  /** starts, or goes on where an earlier download of the same was cut off; verified by the hub's checksums */
  download: oc.input(z.object({ kind, repository, choice: z.string().max(1024) })).output(download),
  /** stops it; what has come is kept for going on */
  cancel: oc.input(z.object({ id: z.string() })).output(z.object({})),
  /** all downloads of this session, again at most twice a second while one changes */
  watch: oc.output(eventIterator(z.array(download))),
};
