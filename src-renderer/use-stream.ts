import { onScopeDispose, ref } from 'vue';

/** One stream at a time: a new one, or `stop`, ends the one before. */
export function useStream() {
  const busy = ref(false);
  const error = ref<unknown>();
  let ends: AbortController | undefined;

  /** Hands every event of a stream to `take`; resolves to whether it came to its own end. */
  async function run<T>(
    open: (signal: AbortSignal) => Promise<AsyncIterable<T>>,
    take: (event: T) => void,
  ): Promise<boolean> {
    ends?.abort();
    const mine = (ends = new AbortController());
    busy.value = true;
    error.value = undefined;
    try {
      for await (const event of await open(mine.signal)) {
        if (mine.signal.aborted) return false;
        take(event);
      }
      return !mine.signal.aborted;
    } catch (failure) {
      if (!mine.signal.aborted) error.value = failure;
      return false;
    } finally {
      if (ends === mine) busy.value = false;
    }
  }
  function stop() {
    ends?.abort();
    ends = undefined;
    busy.value = false;
  }
  onScopeDispose(stop);
  return { busy, error, run, stop };
}
