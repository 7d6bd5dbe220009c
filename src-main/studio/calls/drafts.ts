import { draft } from '../../../src-preload/contract/index.ts';
import type { Drafts } from '../drafts.ts';
import { os } from './os.ts';

/** New fine-tunes as far as they have got. */
export function draftCalls(drafts: Drafts) {
  return {
    get: os.drafts.get.handler(() => drafts.current()),
    set: os.drafts.set.handler(({ input }) => {
      drafts.change(input);
      return {};
    }),
    list: os.drafts.list.handler(() => drafts.list()),
    begin: os.drafts.begin.handler(({ input }) => ({ kept: drafts.begin(input.draft ?? draft.parse({})) })),
    resume: os.drafts.resume.handler(({ input }) => drafts.resume(input.id)),
    remove: os.drafts.remove.handler(({ input }) => {
      drafts.remove(input.id);
      return {};
    }),
    keep: os.drafts.keep.handler(({ input }) => {
      drafts.keep(input);
      return {};
    }),
  };
}
