import fsp from 'node:fs/promises';
import path from 'node:path';
import { text as textOf } from 'node:stream/consumers';
import type { Command } from 'commander';
import type { WrittenIn } from '../engine/products.ts';
import { UserError, type EngineName } from '../engine/types.ts';
import { answer } from '../models/answer.ts';
import type { GivenPicture } from '../models/conversant.ts';
import { openForRunning } from '../trainer/opened-model.ts';
import { adapterOption, command, engineOption, modelOption, precisionOption } from './command.ts';
import { note, printJson } from './output.ts';
import { number, whole } from './values.ts';

interface GenerateFlags {
  model: string;
  adapter?: string;
  prompt: string;
  picture?: string[];
  system?: string;
  raw?: boolean;
  maxTokens: number;
  temperature: number;
  topP: number;
  topK: number;
  seed: number;
  precision: WrittenIn;
  engine: EngineName | 'auto';
  json?: boolean;
}

/** `effilora generate`: an answer, streamed as it comes. */
export function generateCommand(program: Command): void {
  command(program, 'generate', 'answer a prompt, streamed as it is written', [
    'generate --model smollm2-135m --prompt "Why is the sky blue?"',
    'generate --model smollm2-135m --adapter runs/my-run --temperature 0.8 --top-p 0.9 --seed 7 --prompt "A poem on rain"',
    'generate --model my-smolvlm --picture receipt.jpg --prompt "What is the total?"',
    'echo "Once upon a time" | effilora generate --model smollm2-135m --raw --prompt -',
  ])
    .addOption(modelOption().makeOptionMandatory())
    .addOption(adapterOption())
    .requiredOption('--prompt <text>', 'what to answer; - reads standard input')
    .option('--picture <file...>', 'what the prompt is about, for a model that takes pictures: PNG, JPEG or WebP')
    .option('--system <text>', "the system's message before it")
    .option('--raw', 'continue the prompt as it stands, without the chat template')
    .option('--max-tokens <number>', 'longest answer', whole(1), 256)
    .option('--temperature <number>', '0 takes the likeliest token each time', number(0, 10), 0)
    .option('--top-p <number>', 'the fewest tokens that reach this probability are kept', number(0, 1), 1)
    .option('--top-k <number>', 'so many of the likeliest tokens are kept; 0 keeps all', whole(0), 0)
    .option('--seed <number>', 'of the random choice', whole(0), 0)
    .addOption(precisionOption())
    .addOption(engineOption())
    .action(generateAnswer);
}

async function readPicture(file: string): Promise<GivenPicture> {
  const bytes = await fsp.readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`The picture "${file}" can't be read (${error.code}); check the path`);
  });
  return { name: path.basename(file), bytes };
}

async function generateAnswer(flags: GenerateFlags): Promise<void> {
  const prompt = flags.prompt === '-' ? (await textOf(process.stdin)).trimEnd() : flags.prompt;
  if (prompt.trim() === '') throw new UserError('The prompt is empty; write something after --prompt');
  const pictures = await Promise.all((flags.picture ?? []).map(readPicture));
  const opened = await openForRunning(flags, note);
  try {
    const started = performance.now();
    let text = '';
    let tokens = 0;
    for await (const piece of answer(opened, { ...flags, prompt, pictures, products: flags.precision })) {
      text += piece.text;
      tokens = piece.tokens;
      if (!flags.json) process.stdout.write(piece.text);
    }
    const seconds = (performance.now() - started) / 1000;
    if (flags.json) printJson({ text, tokens, seconds, tokensPerSecond: tokens / seconds });
    else process.stdout.write('\n');
  } finally {
    await opened.close();
  }
}
