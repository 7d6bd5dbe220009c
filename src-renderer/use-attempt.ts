import { ref } from 'vue';

/** Work that may fail: `busy` while it goes on, `error` with what went wrong last. */
export function useAttempt() {
  const busy = ref(false);
  const error = ref<unknown>();
  async function attempt(work: () => Promise<unknown>): Promise<void> {
    busy.value = true;
    error.value = undefined;
    try {
      await work();
    } catch (failure) {
      error.value = failure;
    }
    busy.value = false;
  }
  return { busy, error, attempt };
}
