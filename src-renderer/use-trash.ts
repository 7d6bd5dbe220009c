import { shallowRef } from 'vue';

interface Entry {
  id: string;
  name: string;
}
interface Calls {
  remove(input: { id: string }): Promise<unknown>;
  restore(input: { id: string }): Promise<unknown>;
}

/** Deleting with an undo: what was deleted last can be brought back at once, the rest from the trash. */
export function useTrash(calls: Calls, attempt: (work: () => Promise<unknown>) => Promise<void>) {
  const removed = shallowRef<Entry>();
  const remove = (entry: Entry) =>
    attempt(async () => {
      await calls.remove({ id: entry.id });
      removed.value = entry;
    });
  const restore = (id: string) =>
    attempt(async () => {
      await calls.restore({ id });
      removed.value = undefined;
    });
  return { removed, remove, restore };
}
