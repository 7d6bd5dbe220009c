import { defineStore } from 'pinia';
import { computed, ref } from 'vue';
import type { RunSummary } from '../../src-preload/contract/index.ts';
import { follow, studio } from '../connection.ts';
import { settle } from '../run/control.ts';

/** The list of runs, kept current by a stream for as long as the page lives. */
export const useRuns = defineStore('runs', () => {
  const runs = ref<RunSummary[]>([]);
  const trashed = ref<RunSummary[]>([]);
  const loaded = ref(false);
  const running = computed(() => runs.value.find((run) => run.status === 'running'));
  const queued = computed(() =>
    runs.value.filter((run) => run.status === 'queued').sort((a, b) => (a.queuePosition ?? 0) - (b.queuePosition ?? 0)),
  );

  void follow(
    (signal) => studio.runs.watchList(undefined, { signal }),
    (list) => {
      settle(list.runs);
      runs.value = list.runs;
      trashed.value = list.trashed;
      loaded.value = true;
    },
    new AbortController().signal,
  );

  return { runs, trashed, loaded, running, queued };
});
