import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { draft, keptDraft } from '../../src-preload/contract/index.ts';
import type { Draft, KeptDraft } from '../../src-preload/contract/index.ts';
import { UserError } from '../engine/types.ts';
import type { SettingsStore } from './settings.ts';

/** Drafts beside the one at hand, at most: each is read whenever one is kept. */
export const MOST_DRAFTS = 50;

/** New fine-tunes that were begun: the one at hand, and those kept for later, newest first. */
export class Drafts {
  constructor(private readonly settings: SettingsStore) {}

  current(): Draft {
    const kept = draft.safeParse(this.settings.read('draft') ?? {});
    return kept.success ? kept.data : draft.parse({});
  }

  change(value: Draft): void {
    this.settings.write('draft', value);
  }

  list(): KeptDraft[] {
    const kept = z.array(keptDraft).safeParse(this.settings.read('drafts') ?? []);
    return kept.success ? kept.data : [];
  }

  /**
   * Begins another and keeps the one at hand for later; returns what was kept, null where nothing had been begun.
   * @throws UserError where as many are kept as can be
   */
  begin(value: Draft): KeptDraft | null {
    const kept = this.putAside();
    this.change(value);
    return kept;
  }

  /** Goes on with a kept one, and keeps the one at hand. @throws UserError where it isn't there any more */
  resume(id: string): Draft {
    const found = this.list().find((one) => one.id === id);
    if (!found) throw new UserError('This draft is no longer kept. Reload the page.');
    this.putAside(1);
    this.change(found.draft);
    // Last: were the studio killed on the way, it would be there twice rather than not at all.
    this.remove(id);
    return found.draft;
  }

  remove(id: string): void {
    this.write(this.list().filter((one) => one.id !== id));
  }

  /** Brings back what was removed. @throws UserError where as many are kept as can be */
  keep(one: KeptDraft): void {
    this.add(one, MOST_DRAFTS);
  }

  /** @param leaving how many of those kept are about to go */
  private putAside(leaving = 0): KeptDraft | null {
    const current = this.current();
    const isBegun = current.model !== null || current.mix.length > 0 || current.name !== '';
    if (!isBegun) return null;
    const kept = { id: randomUUID(), savedAt: Date.now(), draft: current };
    this.add(kept, MOST_DRAFTS + leaving);
    return kept;
  }

  private add(one: KeptDraft, most: number): void {
    const others = this.list().filter(({ id }) => id !== one.id);
    if (others.length >= most)
      throw new UserError(`${MOST_DRAFTS} drafts are kept already. Delete one you don't need (New fine-tune, Drafts).`);
    this.write([one, ...others].sort((a, b) => b.savedAt - a.savedAt));
  }

  private write(list: KeptDraft[]): void {
    this.settings.write('drafts', list);
  }
}
