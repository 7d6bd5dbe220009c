import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { builtProcess } from '../support/built.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));
export const bin = path.join(root, 'bin', 'effilora.mjs');

export interface Ended {
  /** undefined: ended by a signal */
  code: number | undefined;
  stdout: string;
  stderr: string;
}

export interface Running {
  child: ChildProcess;
  ended: Promise<Ended>;
  /** resolves when what was written so far, on either stream, matches */
  wrote(pattern: RegExp): Promise<string>;
}

export interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
}

/** Starts a program and gathers what it writes. */
export function start(program: string, args: string[], { cwd = root, env = {} }: RunOptions = {}): Running {
  const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
  const written = { stdout: '', stderr: '' };
  const waiting = new Set<() => void>();
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      written[stream] += text;
      waiting.forEach((look) => look());
    });
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      resolve({ code: code ?? undefined, ...written });
      waiting.forEach((look) => look());
    });
  });
  const wrote = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const all = written.stdout + written.stderr;
        if (pattern.test(all)) resolve(all);
        else if (child.exitCode === null && child.signalCode === null) return;
        else reject(new Error(`It ended without writing ${pattern}:\n${all}`));
        waiting.delete(look);
      };
      waiting.add(look);
      look();
    });
  return { child, ended, wrote };
}

/** Starts the command line as it was built once for all tests. */
export const startCli = (args: string[], options?: RunOptions) =>
  start(process.execPath, [builtProcess('effilora.js'), ...args], options);

/** Starts it from its sources, behind the set-up, as one does in a checkout: twice the time. */
export const startBin = (args: string[], options?: RunOptions) => start(process.execPath, [bin, ...args], options);

/** Runs the real command line to its end. */
export const cli = (args: string[], options?: RunOptions): Promise<Ended> => startCli(args, options).ended;

/** Runs it with `--json` and parses the last line of standard output. */
export async function cliJson<T>(args: string[], options?: RunOptions): Promise<T> {
  const { code, stdout, stderr } = await cli([...args, '--json'], options);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as T;
}

/** One JSON object a line. */
export function writeJsonLines(file: string, values: object[]): string {
  fs.writeFileSync(file, values.map((value) => `${JSON.stringify(value)}\n`).join(''));
  return file;
}

export const readJsonLines = <T>(file: string): T[] =>
  fs
    .readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
