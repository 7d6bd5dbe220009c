import { defineStore } from 'pinia';
import { ref } from 'vue';
import type { Served } from '../../src-preload/contract/index.ts';
import { follow, studio } from '../connection.ts';

/** What is served to other programs, kept current by a stream for as long as the page lives. */
export const useServed = defineStore('served', () => {
  const served = ref<Served | null>(null);
  void follow(
    (signal) => studio.serving.watch(undefined, { signal }),
    (now) => (served.value = now),
    new AbortController().signal,
  );
  return { served };
});
