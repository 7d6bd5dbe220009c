import { ref } from 'vue';

/** How many calls a person asked for and has no answer to yet. */
export const waiting = ref(0);

/** What is called so soon after a click, a key or a choice was asked for by it, milliseconds; the rest the page asks for itself. */
const SOON_MS = 100;
let acted = -Infinity;
for (const kind of ['click', 'change', 'submit', 'keydown'])
  addEventListener(kind, () => (acted = performance.now()), true);

/** Counts a call as waited for until it is answered, where a person asked for it. */
export async function waitedFor<T>(call: () => Promise<T>): Promise<T> {
  if (performance.now() - acted > SOON_MS) return call();
  waiting.value += 1;
  try {
    return await call();
  } finally {
    waiting.value -= 1;
  }
}
