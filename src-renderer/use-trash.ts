import { shallowRef } from 'vue';

interface Entry {
  id: string;
  name: string;
}
interface Calls {
  remove(input: { id: string }): Promise<unknown>;
  restore(input: { id: string }): Promise<unknown>;
  purge(input: { id: string }): Promise<unknown>;
}
/** Asks a person; ConfirmDialog's. */
type Ask = (title: string, text: string, yes: string) => Promise<boolean>;

/**
 * Deleting with an undo: what was deleted last can be brought back at once, the rest from the trash; for good only after
 * `ask` was answered with yes.
 */
export function useTrash(calls: Calls, attempt: (work: () => Promise<unknown>) => Promise<void>, ask: Ask) {
  const removed = shallowRef<Entry>();
  /** There is nothing to undo any more for an entry that is back, or gone. */
  const forget = (id: string) => {
    if (removed.value?.id === id) removed.value = undefined;
  };
  const remove = (entry: Entry) =>
    attempt(async () => {
      await calls.remove({ id: entry.id });
      removed.value = entry;
    });
  const restore = (id: string) =>
    attempt(async () => {
      await calls.restore({ id });
      forget(id);
    });
  const purge = async ({ id, name }: Entry) => {
    const text = 'Its files are removed from this machine. This can’t be undone.';
    if (!(await ask(`Delete “${name}” for good?`, text, 'Delete for good'))) return;
    await attempt(async () => {
      await calls.purge({ id });
      forget(id);
    });
  };
  return { removed, remove, restore, purge };
}
