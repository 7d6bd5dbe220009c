import { CommanderError } from 'commander';
import { UserError } from '../engine/types.ts';
import { printJson } from './output.ts';

/** What the command line's exit codes mean (docs/command-line.md). */
export const EXIT = {
  ok: 0,
  /** a fault of the program's own */
  fault: 1,
  /** something the user can mend: a wrong option, file or value */
  userError: 2,
  /** Ctrl-C, with a checkpoint to go on from; 128 + SIGINT, as shells have it */
  interrupted: 130,
  /** asked to end by SIGTERM, with a checkpoint; 128 + SIGTERM */
  terminated: 143,
} as const;

/** Says what went wrong, once, and returns the exit code for it. */
export function report(error: unknown, asJson: boolean): number {
  // commander has said its own already; help and version are no errors.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.userError;
  const forPeople = error instanceof UserError;
  const exitCode = forPeople ? EXIT.userError : EXIT.fault;
  const message = error instanceof Error ? error.message : String(error);
  if (asJson) printJson({ error: message, exitCode });
  if (forPeople) console.error(message);
  else
    console.error(`A fault of the program's own; please report it.\n${error instanceof Error ? error.stack : message}`);
  return exitCode;
}
