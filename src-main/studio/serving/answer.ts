import type { OnModel, StageJobs, TokenOnStage } from '../stage/types.ts';
import { conversationOf, samplingOf, type Completion } from './request.ts';
import { StopText } from './stop-text.ts';

/** The process that runs the model (studio/stage). */
export interface ModelProcess {
  run(
    job: 'generate',
    request: StageJobs['generate'][0],
    signal?: AbortSignal,
  ): AsyncGenerator<StageJobs['generate'][1], void>;
}

/** An answer as it comes: first how long the prompt is, then its pieces, then how it ended. */
export type AnswerPart =
  | { kind: 'begin'; promptTokens: number }
  | { kind: 'text'; text: string; tokens: TokenOnStage[] }
  | { kind: 'end'; reason: 'stop' | 'length'; tokens: number };

/** Answers a completion on the base model, or on the adapter in `folder`. @throws UserError for what doesn't fit */
export async function* answerParts(
  stage: ModelProcess,
  on: OnModel,
  folder: string | undefined,
  body: Completion,
  signal: AbortSignal,
): AsyncGenerator<AnswerPart> {
  const stops = new StopText([body.stop ?? []].flat());
  const job = { ...on, columns: [{ folder, ...conversationOf(body) }], sampling: samplingOf(body) };
  let tokens = 0;
  /** whose text is not out yet */
  let held: TokenOnStage[] = [];
  for await (const event of stage.run('generate', job, signal)) {
    if (event.kind === 'ready') yield { kind: 'begin', promptTokens: event.promptTokens };
    if (event.kind === 'token') {
      tokens += 1;
      held.push(event);
      const text = stops.push(event.piece);
      if (text) {
        yield { kind: 'text', text, tokens: held };
        held = [];
      }
      if (stops.stopped) break;
    }
    if (event.kind !== 'done') continue;
    const rest = stops.end();
    // The end token is no part of the answer.
    if (event.reason === 'end') held.pop();
    if (rest) yield { kind: 'text', text: rest, tokens: held };
    return yield { kind: 'end', reason: event.reason === 'end' ? 'stop' : 'length', tokens };
  }
  if (!signal.aborted) yield { kind: 'end', reason: 'stop', tokens };
}
