/** An emitter of `change`, whatever else it tells. */
interface Changing {
  on(event: 'change', listener: () => void): unknown;
  off(event: 'change', listener: () => void): unknown;
}

/**
 * Waits for the next `change`, at most so many milliseconds, or until `signal`. Leaves nothing behind: a page may follow a list for
 * weeks, and what AbortSignal.any makes of a signal that lives so long stays as long as that.
 */
export function nextChange(from: Changing, milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      from.off('change', end);
      signal?.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    from.on('change', end);
    signal?.addEventListener('abort', end);
    if (signal?.aborted) end();
  });
}
