import { onScopeDispose, reactive, ref } from 'vue';
import type { Painting } from '../../src-preload/contract/index.ts';
import { studio } from '../connection.ts';
import type { Column } from './conversation.ts';

/** Whose picture: the base model's or an adapter's, whole or with less in it. */
export interface PaintColumn extends Column {
  renormalize?: boolean;
}

/** A picture, or how far it is. */
export interface PaintedColumn extends PaintColumn {
  state: 'waiting' | 'going' | 'done' | 'cancelled' | 'failed';
  /** what is done before its first step */
  what?: string;
  /** steps */
  done: number;
  of: number;
  url?: string;
  width?: number;
  height?: number;
  seconds?: number;
}

/** Paints one prompt in several columns from the same noise, one picture after the other; each can be cancelled on its own. */
export function usePainting() {
  const busy = ref(false);
  const error = ref<unknown>();
  /** of the picture that is being painted */
  let going: { column: PaintedColumn; control: AbortController } | undefined;
  let columns: PaintedColumn[] = [];

  /** @param told the columns as they are now, once they are there to be shown */
  async function paint(model: string, asked: PaintColumn[], how: Painting, told: (columns: PaintedColumn[]) => void) {
    stop();
    const mine = (columns = asked.map((column) => reactive({ ...column, state: 'waiting' as const, done: 0, of: how.steps ?? 0 }))); // prettier-ignore
    told(mine);
    error.value = undefined;
    busy.value = true;
    for (const [only, column] of mine.entries())
      if (column.state === 'waiting') await paintOne(column, { model, columns: asked, only, ...how });
    if (mine === columns) busy.value = false;
  }

  async function paintOne(column: PaintedColumn, request: Parameters<typeof studio.playground.paint>[0]) {
    const control = new AbortController();
    going = { column, control };
    column.state = 'going';
    try {
      for await (const event of await studio.playground.paint(request, { signal: control.signal })) {
        if (control.signal.aborted) break;
        if (event.kind === 'loading') column.what = event.what;
        else if (event.kind === 'step') Object.assign(column, { what: undefined, done: event.done, of: event.of });
        else {
          const { url, width, height, seconds } = event;
          Object.assign(column, { url, width, height, seconds, state: 'done' });
        }
      }
    } catch (failure) {
      if (!control.signal.aborted) {
        column.state = 'failed';
        error.value ??= failure;
      }
    }
    if (column.state === 'going') column.state = 'cancelled';
    if (going?.column === column) going = undefined;
  }

  /** Leaves one picture out; the others go on. */
  function cancel(column: PaintedColumn) {
    if (column.state !== 'waiting' && column.state !== 'going') return;
    column.state = 'cancelled';
    if (going?.column === column) going.control.abort();
  }
  const stop = () => columns.forEach(cancel);
  onScopeDispose(stop);
  return { busy, error, paint, cancel, stop };
}
