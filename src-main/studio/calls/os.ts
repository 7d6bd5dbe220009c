import { implement, ORPCError } from '@orpc/server';
import { contract } from '../../../src-preload/contract/index.ts';
import { checkPlainKeys } from '../../engine/plain-keys.ts';
import { UserError } from '../../engine/types.ts';

/** Where a call comes from. */
export interface CallContext {
  /** the owner at this machine: may widen the folders the studio reaches */
  local: boolean;
}

/** UserErrors reach the page as they are; anything else is logged here and named as a fault of the studio's. */
export const os = implement(contract)
  .$context<CallContext>()
  .use(async ({ next, path }, input) => {
    try {
      // Before the schema, which passes over such keys in silence.
      checkPlainKeys(input, `What was asked of ${path.join('.')}`);
      return await next();
    } catch (error) {
      throw forView(error);
    }
  });

/** Of a file, a quota, the library. */
const FULL = ['ENOSPC', 'EDQUOT', 'SQLITE_FULL'];

function forView(error: unknown): unknown {
  if (error instanceof ORPCError) return error;
  if (error instanceof UserError) return new ORPCError('BAD_REQUEST', { message: error.message });
  if (FULL.includes((error as { code?: string } | undefined)?.code ?? ''))
    return new ORPCError('BAD_REQUEST', {
      message: 'The disk is full. Make room (Settings, Free up space) and try again.',
    });
  console.error(error);
  const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return new ORPCError('INTERNAL_SERVER_ERROR', {
    message: 'Something in the studio went wrong. The details say what; trying again may help.',
    data: { detail },
  });
}

/** A stream whose failures reach the page as those of a call do. */
export async function* stream<Event>(events: AsyncIterable<Event>): AsyncGenerator<Event, void> {
  try {
    yield* events;
  } catch (error) {
    throw forView(error);
  }
}
