import { defineStore } from 'pinia';
import { ref } from 'vue';
import type { Download } from '../../src-preload/contract/index.ts';
import { follow, studio } from '../connection.ts';

/** What comes from the hub, kept current by a stream for as long as the page lives. */
export const useDownloads = defineStore('downloads', () => {
  const downloads = ref<Download[]>([]);
  void follow(
    (signal) => studio.hub.watch(undefined, { signal }),
    (list) => (downloads.value = list),
    new AbortController().signal,
  );
  return { downloads };
});
