import { join } from 'node:path';

/** One of the processes that were built for all tests (build-once.ts), by its name in a package. */
export const builtProcess = (name: string) => join(process.env['EFFILORA_TEST_PROCESSES']!, name);
