import { ref, watch, type Ref } from 'vue';
import { studio } from './connection.ts';

interface Seen {
  sees: boolean;
  makesPictures: boolean;
  name: string;
}

/** Whether a base model takes pictures, or makes them, as its files say, and its name; undefined until that is known, or where it can't be. */
export function useSees(asked: () => { model: string | null; adapter: string | null }): Ref<Seen | undefined> {
  const found = ref<Seen>();
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
