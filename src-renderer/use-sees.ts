import { ref, watch, type Ref } from 'vue';
import { studio } from './connection.ts';

/** Whether a base model takes pictures, as its files say, and its name; undefined until that is known, or where it can't be. */
export function useSees(
  asked: () => { model: string | null; adapter: string | null },
): Ref<{ sees: boolean; name: string } | undefined> {
  const found = ref<{ sees: boolean; name: string }>();
  let turn = 0;
  watch(
    () => JSON.stringify(asked()),
    async () => {
      const mine = (turn += 1);
      found.value = undefined;
      const { model, adapter } = asked();
      if (model === null) return;
      const seen = await studio.playground.sees({ model, adapter }).catch(() => undefined);
      if (mine === turn) found.value = seen;
    },
    { immediate: true },
  );
  return found;
}
