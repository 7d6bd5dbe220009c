import { defineStore } from 'pinia';
import { ref } from 'vue';
import type { Download } from '../../src-preload/contract/index.ts';
import { follow, studio } from '../connection.ts';

/** What comes from the hub, kept current by a stream for as long as the page lives. */
export const useDownloads = defineStore('downloads', () => {
  const downloads = ref<Download[]>([]);
  /** how far a running one was when this page first saw it, milliseconds of the page's clock */
  const seen = new Map<string, { bytes: number; at: number }>();
  function take(list: Download[]) {
    downloads.value = list;
    for (const { id, bytes } of list) if (!seen.has(id)) seen.set(id, { bytes, at: performance.now() });
  }
  /** by the pace since it was first seen; undefined until it has one */
  function secondsLeft({ id, bytes, ofBytes }: Download): number | undefined {
    const first = seen.get(id);
    if (!first || bytes <= first.bytes) return undefined;
    return ((performance.now() - first.at) / 1000 / (bytes - first.bytes)) * (ofBytes - bytes);
  }
  void follow((signal) => studio.hub.watch(undefined, { signal }), take, new AbortController().signal);
  return { downloads, secondsLeft };
});
