import { onScopeDispose, ref } from 'vue';
import type { Ref } from 'vue';

/** The whole run takes this long to replay, milliseconds. */
const REPLAY_MS = 12_000;

/** Moves the shown step from where it is (or the start) to the newest; the user asked for it, so it moves for everyone. */
export function useReplay(
  step: Readonly<Ref<number>>,
  lastStep: Readonly<Ref<number>>,
  scrubbed: Ref<number | undefined>,
) {
  const playing = ref(false);
  let request = 0;

  function stop() {
    playing.value = false;
    cancelAnimationFrame(request);
  }
  function play() {
    if (playing.value) return stop();
    playing.value = true;
    const from = step.value < lastStep.value ? step.value : 1;
    const startedAt = performance.now();
    const move = (now: number) => {
      const next = Math.round(from + ((now - startedAt) / REPLAY_MS) * lastStep.value);
      scrubbed.value = next < lastStep.value ? next : undefined;
      if (next >= lastStep.value) return stop();
      request = requestAnimationFrame(move);
    };
    request = requestAnimationFrame(move);
  }
  onScopeDispose(stop);
  return { playing, play };
}
