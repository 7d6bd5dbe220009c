import { onScopeDispose, ref, shallowRef, triggerRef } from 'vue';
import { follow, studio } from '../connection.ts';
import { RunData } from './run-data.ts';

/** Redraws at most this often while events come in, milliseconds. */
const PACE_MS = 120;

/** A run's data, kept current; `data` triggers at a calm pace however fast the trainer writes. */
export function useRun(id: string) {
  const data = shallowRef(new RunData());
  const error = ref<unknown>();
  const ends = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const show = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      triggerRef(data);
    }, PACE_MS);
  };
  follow(
    (signal) => studio.runs.watch({ id, from: data.value.position }, { signal }),
    (event) => {
      data.value.take(event);
      show();
    },
    ends.signal,
  ).catch((refusal: unknown) => (error.value = refusal));
  onScopeDispose(() => {
    ends.abort();
    clearTimeout(timer);
  });
  return { data, error };
}
