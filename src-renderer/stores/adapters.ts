import { defineStore } from 'pinia';
import { ref } from 'vue';
import type { AdapterEntry } from '../../src-preload/contract/index.ts';
import { follow, studio } from '../connection.ts';

/** The adapters to work with (neither archived nor in the trash), kept current for as long as the page lives. */
export const useAdapters = defineStore('adapters', () => {
  const adapters = ref<AdapterEntry[]>([]);
  const loaded = ref(false);
  /** goes up whenever the library changes */
  const version = ref(0);

  async function load() {
    adapters.value = (await studio.adapters.list({})).adapters;
    loaded.value = true;
    version.value += 1;
  }

  void follow(
    (signal) => studio.adapters.watch(undefined, { signal }),
    () => void load().catch(() => undefined),
    new AbortController().signal,
  );

  return { adapters, loaded, version };
});
