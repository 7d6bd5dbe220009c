import { spawn, type ChildProcess } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { TINY_MODEL } from '../trainer/support.ts';

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

/** Starts the real command line. */
export const startCli = (args: string[], options?: RunOptions) => start(process.execPath, [bin, ...args], options);

/** Runs the real command line to its end. */
export const cli = (args: string[], options?: RunOptions): Promise<Ended> => startCli(args, options).ended;

/** Runs it with `--json` and parses the last line of standard output. */
export async function cliJson<T>(args: string[], options?: RunOptions): Promise<T> {
  const { code, stdout, stderr } = await cli([...args, '--json'], options);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as T;
}

const END = '<|end|>';
const TEMPLATE =
  "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|end|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

/**
 * The tiny random llama with a tokenizer of single characters (printable ASCII without four of them, space and newline: the 96
 * tokens it has) and a chat template of its own.
 */
export function tinyChatModel(folder: string): string {
  const model = path.join(folder, 'chat-model');
  fs.cpSync(TINY_MODEL, model, { recursive: true });
  const printable = Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)).filter(
    (c) => !'^`~\\'.includes(c),
  );
  // GPT-2's characters for the bytes of newline and space.
  const tokens = ['<|pad|>', '<|begin|>', END, ...printable, 'Ċ', 'Ġ'];
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const special = (content: string, id: number) => ({
    ...{ id, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true },
  });
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: ['<|pad|>', '<|begin|>', END].map(special),
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: 'BPE', vocab: Object.fromEntries(tokens.map((token, id) => [token, id])), merges: [] },
  };
  const config = { tokenizer_class: 'PreTrainedTokenizerFast', eos_token: END, chat_template: TEMPLATE };
  fs.writeFileSync(path.join(model, 'tokenizer.json'), JSON.stringify(tokenizer));
  fs.writeFileSync(path.join(model, 'tokenizer_config.json'), JSON.stringify(config));
  return model;
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
