import type { Worker } from '../work/worker.ts';
import type { Reading } from './library.ts';

/** How a file is read whose columns' names say nothing: as they are guessed from what they hold. */
export async function guessedReading(
  worker: Worker,
  path: string,
  config?: string,
  signal?: AbortSignal,
): Promise<Reading> {
  return { ...(await columnsGuessed(worker, path, config, signal)), config };
}

async function columnsGuessed(worker: Worker, path: string, config?: string, signal?: AbortSignal): Promise<Reading> {
  const { guess, isRecognised } = await worker.call('guess', { path, config }, { signal });
  if (isRecognised) return {};
  const { question, answer, text, messages } = guess;
  if (messages !== undefined) return { format: 'chat', mapping: { messages } };
  if (question !== undefined && answer !== undefined)
    return { format: 'instruction', mapping: { instruction: question, output: answer } };
  return text === undefined ? {} : { format: 'text', mapping: { text } };
}
