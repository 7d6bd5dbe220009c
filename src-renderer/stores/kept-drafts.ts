import { ref, watch } from 'vue';
import type { Ref } from 'vue';
import type { Draft, KeptDraft } from '../../src-preload/contract/index.ts';
import { studio } from '../connection.ts';

/** Kept this long after the last change, milliseconds. */
const KEEP_MS = 300;

/** Drafts that were put aside for another. */
export function useKeptDrafts() {
  /** newest first */
  const kept = ref<KeptDraft[]>([]);
  /** what the one at hand was begun in place of: to be gone back to at once */
  const before = ref<KeptDraft | null>(null);
  async function loadKept() {
    kept.value = await studio.drafts.list();
    // There is no going back to one that was deleted meanwhile.
    if (!kept.value.some(({ id }) => id === before.value?.id)) before.value = null;
  }
  return { kept, before, loadKept };
}

/** Has the studio keep a draft as it changes, once it is loaded; the function returned does so at once with what waits for it. */
export function useKeeping(draft: Draft, loaded: Ref<boolean>): () => Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  async function save() {
    if (timer === undefined) return;
    clearTimeout(timer);
    timer = undefined;
    await studio.drafts.set(copyOf(draft));
  }
  watch(
    draft,
    () => {
      if (!loaded.value) return;
      clearTimeout(timer);
      timer = setTimeout(() => void save(), KEEP_MS);
    },
    { deep: true },
  );
  return save;
}

/** Without what makes it reactive, which can't be sent. */
export const copyOf = (draft: Draft) => JSON.parse(JSON.stringify(draft)) as Draft;
