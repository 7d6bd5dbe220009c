import { onScopeDispose, ref, shallowRef, triggerRef } from 'vue';
import { follow, studio } from '../connection.ts';
import { RunData } from './run-data.ts';

/** Redraws at most this often while events come in, milliseconds. */
const PACE_MS = 400;
/** Charts of the whole run, which cost more the longer it is, at most this often, milliseconds. */
const CHARTS_MS = 2_000;

/** A run's data, kept current; `data` and, more calmly, `charted` change at a set pace however fast the trainer writes. */
export function useRun(id: string) {
  const data = shallowRef(new RunData());
  const error = ref<unknown>();
  const ends = new AbortController();
  /** the version of `data` that the charts show */
  const charted = ref(0);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let chartedAt = 0;
  const show = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      triggerRef(data);
      if (performance.now() - chartedAt > CHARTS_MS) chart();
    }, PACE_MS);
  };
  const chart = () => {
    chartedAt = performance.now();
    charted.value = data.value.version;
  };
  // The last events of a burst are charted, too.
  const calm = setInterval(() => charted.value !== data.value.version && chart(), CHARTS_MS);
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
    clearInterval(calm);
  });
  return { data, charted, error };
}
