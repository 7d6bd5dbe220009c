import type { ExportData } from './data.ts';
import { messageText } from '../models/message-text.ts';
import { answer } from '../models/answer.ts';
import { taskOf } from '../tasks/registry.ts';
import type { OpenedExport } from './open-export.ts';
import type { Progress } from './progress.ts';

/** A question of the held-out data and what the adapter answers, greedily. */
export interface Sample {
  prompt: string;
  answer: string;
}

const SAMPLES = 3;
const TOKENS = 96;

/** Answers to the first few held-out questions; none without a tokenizer or data in questions. */
export async function sampleAnswers(
  opened: OpenedExport,
  data: ExportData | undefined,
  progress: Progress,
): Promise<Sample[]> {
  if (!opened.file.tokenizer) return [];
  if (opened.file.sees) return aboutPictures(opened, data);
  const prompts = (data?.heldOut ?? []).flatMap(({ example }) => {
    if (example.kind === 'completion') return [{ prompt: example.prompt, raw: true }];
    if (example.kind !== 'chat') return [];
    const question = example.messages.find(({ role }) => role === 'user');
    return question ? [{ prompt: messageText(question), raw: false }] : [];
  });
  const samples: Sample[] = [];
  for (const question of prompts.slice(0, SAMPLES)) {
    let text = '';
    for await (const piece of answer(opened, { ...question, maxTokens: TOKENS })) {
      progress.check();
      text += piece.text;
    }
    samples.push({ prompt: question.prompt, answer: text.trim() });
  }
  return samples;
}

/** Likewise about pictures, as a run is asked. */
async function aboutPictures({ file, model, adapter }: OpenedExport, data: ExportData | undefined): Promise<Sample[]> {
  const lines = await taskOf(file)
    .samples(file, data?.heldOut ?? [], { samples: SAMPLES })
    .answer(0, model, adapter);
  return lines.map(({ prompt, answer }) => ({ prompt, answer }));
}
