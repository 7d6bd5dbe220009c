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
/** Where an entry is that was moved to the trash: another window or tab may have brought it back, or deleted it for good. */
export type Whereabouts = 'trash' | 'back' | 'gone';

/**
 * Deleting with an undo: what was deleted last can be brought back at once, the rest from the trash; for good only after
 * `ask` was answered with yes.
 * @param whereIs looks where an entry is now; call `look` when that may have changed
 */
export function useTrash(
  calls: Calls,
  attempt: (work: () => Promise<unknown>) => Promise<void>,
  ask: Ask,
  whereIs: (id: string) => Whereabouts | Promise<Whereabouts>,
) {
  const removed = shallowRef<Entry & { place: Whereabouts }>();
  /** What this page brings back or deletes for good itself needs no notice any more. */
  const forget = (id?: string) => {
    if (id === undefined || removed.value?.id === id) removed.value = undefined;
  };
  const find = async () => {
    const id = removed.value?.id;
    if (id === undefined) return;
    const place = await whereIs(id);
    if (removed.value?.id === id && removed.value.place !== place) removed.value = { ...removed.value, place };
  };
  // What this fails to learn is asked for again before anything is undone.
  const look = () => find().catch(() => undefined);
  const remove = ({ id, name }: Entry) =>
    attempt(async () => {
      await calls.remove({ id });
      removed.value = { id, name, place: 'trash' };
    });
  const restore = (id: string) =>
    attempt(async () => {
      forget(id);
      await calls.restore({ id });
    });
  /** Brings back what was deleted last, or shows why that can't be. */
  const undo = () =>
    attempt(async () => {
      await find();
      if (removed.value?.place === 'trash') await restore(removed.value.id);
    });
  const purge = async ({ id, name }: Entry) => {
    const text = 'Its files are removed from this machine. This can’t be undone.';
    if (!(await ask(`Delete “${name}” for good?`, text, 'Delete for good'))) return;
    await attempt(async () => {
      forget(id);
      await calls.purge({ id });
    });
  };
  return { removed, remove, restore, undo, purge, look, forget };
}
