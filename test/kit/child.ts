import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { endOf } from '../../src-main/engine/child.ts';

/** What a program said until it ended. */
export interface Said<Line> {
  /** its lines of JSON */
  lines: Line[];
  /** why there is no more, as a sentence; undefined: it ended well */
  problem?: string;
}

let running: ChildProcess | undefined;

/** Ends the program that runs. */
export const endChild = () => void running?.kill('SIGKILL');

/**
 * Runs a program to its end, or to the end of its time.
 * @param lines what it is told, one after the other
 */
export async function runProgram<Line>(
  program: string,
  args: string[],
  { seconds, lines = [], env = {} }: { seconds: number; lines?: string[]; env?: NodeJS.ProcessEnv },
): Promise<Said<Line>> {
  const child = spawn(program, args, { env: { ...process.env, ...env } });
  running = child;
  const said: Said<Line> = { lines: [] };
  let late = false;
  const timer = setTimeout(() => ((late = true), child.kill('SIGKILL')), 1000 * seconds);
  const errors = endOf(child.stderr);
  child.stdin.on('error', () => {}).end(lines.map((line) => `${line}\n`).join(''));
  createInterface({ input: child.stdout }).on('line', (line) => {
    const told = parsed(line);
    if (told !== undefined) said.lines.push(told as Line);
  });
  const ended = await new Promise<string | undefined>((resolve) => {
    child.once('error', ({ message }) => resolve(message));
    child.once('close', (code, signal) => resolve(code === 0 ? undefined : (signal ?? `code ${code}`)));
  });
  clearTimeout(timer);
  if (late) said.problem = `It had not ended after ${seconds} seconds.`;
  else if (ended !== undefined) said.problem = `It ended with ${ended}. ${lastWords(errors())}`.trim();
  return said;
}

/** A line of a program's own; drivers and libraries write others. */
function parsed(line: string): unknown {
  try {
    return line.startsWith('{') ? JSON.parse(line) : undefined;
  } catch {
    return undefined;
  }
}

/** The line that says most of how a program ended: the error's own, else the last. */
function lastWords(text: string): string {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !/^\s+at |^Node\.js v/.test(line));
  const of = (found: RegExp) => lines.findLast((line) => found.test(line));
  return (of(/\w*(Error|Exception)\b.*: /) ?? lines.at(-1) ?? '').trim();
}
