import { UserError } from '../../engine/types.ts';
import { chatTemplate } from '../../models/chat-template.ts';
import { languageOf } from '../../models/conversant.ts';
import { endingTurns } from '../../models/end-of-turn.ts';
import { generate } from '../../models/generate.ts';
import type { GeneratedToken } from '../../models/generate.ts';
import { endsOf } from '../../models/prompt.ts';
import { StreamText } from '../../models/stream-text.ts';
import type { ChatTemplate, ModelFile, Tokenizer } from '../../models/types.ts';
import { modelOnStage } from './loaded.ts';
import type { LoadedModel } from './loaded.ts';
import type { Act, GenerateEvent, GenerateJob, TemplateEvent, TemplateJob } from './types.ts';

interface Column {
  index: number;
  tokens: AsyncGenerator<GeneratedToken>;
  text: StreamText;
  /** tokens that end the answer */
  stop: readonly number[];
  count: number;
  seconds: number;
  last: number;
}

/** Answers a prompt in several columns at once, a token of each in turn; each one's own time is counted. */
export async function generateJob(job: GenerateJob, { tell, signal }: Act<GenerateEvent>): Promise<void> {
  const stage = await modelOnStage(job, tell);
  const tokenizer = tokenizerOf(stage.file);
  let columns: Column[] = [];
  try {
    for (const index of job.columns.keys()) columns.push(await openColumn(stage, job, index, { tell, signal }));
    while (columns.length > 0) {
      for (const column of columns) {
        signal.throwIfAborted();
        await advance(column, tokenizer, tell);
      }
      columns = columns.filter((column) => column.last !== ENDED);
    }
  } finally {
    for (const { tokens } of columns) await tokens.return(undefined);
  }
}

const ENDED = -2;

async function openColumn(
  stage: LoadedModel,
  { columns, sampling, template, products }: GenerateJob,
  index: number,
  act: Act<GenerateEvent>,
): Promise<Column> {
  const { tell } = act;
  const { folder, off, ...conversation } = columns[index]!;
  const { model } = stage;
  const started = performance.now();
  const copy = columns.slice(0, index).filter((column) => column.folder === folder).length;
  const on = folder === undefined ? undefined : await stage.adapter(folder, off, copy);
  const adaptation = on?.adapter;
  const milliseconds = performance.now() - started;
  const own = writing(stage.file, template);
  const { ids, seen } = await stage.asked(own, conversation, act, on);
  tell({ kind: 'ready', column: index, milliseconds, promptTokens: ids.length });
  const stop = endsOf(languageOf(model).config, own.tokenizer);
  const tokens = generate(languageOf(model), ids, { ...sampling, adaptation, stop, seen, products });
  return { index, tokens, text: new StreamText(own.tokenizer), stop, count: 0, seconds: 0, last: -1 };
}

/** One more token of a column, or its end. */
async function advance(column: Column, tokenizer: Tokenizer, tell: Act<GenerateEvent>['tell']): Promise<void> {
  const started = performance.now();
  const { value, done } = await column.tokens.next();
  column.seconds += (performance.now() - started) / 1000;
  const { index } = column;
  if (done) {
    const reason = column.stop.includes(column.last) ? 'end' : 'length';
    tell({ kind: 'done', column: index, tokens: column.count, seconds: column.seconds, reason });
    column.last = ENDED;
    return;
  }
  column.count += 1;
  column.last = value.id;
  const shown = ({ id, logProbability }: { id: number; logProbability: number }) => ({
    text: tokenizer.decode([id]),
    probability: Math.exp(logProbability),
  });
  tell({ kind: 'token', column: index, piece: column.text.push(value.id), ...shown(value), top: value.top.map(shown) });
}

/** What a template makes of a conversation, before anything is generated. */
export async function templateJob(job: TemplateJob, act: Act<TemplateEvent>): Promise<void> {
  const { tell } = act;
  const stage = await modelOnStage(job, tell);
  const { file } = stage;
  const { text, ids } = await stage.asked(writing(file, job.template), job, act);
  tell({ kind: 'template', source: file.chatTemplate?.source ?? '', prompt: text, tokens: ids.length });
}

function tokenizerOf({ tokenizer, name }: ModelFile): Tokenizer {
  if (tokenizer) return tokenizer;
  throw new UserError(`${name} has no tokenizer, so it can't read text. Add its tokenizer.json.`);
}

/** The tokenizer and the template that a conversation is written with: the template given, else the model's own. */
function writing(file: ModelFile, source?: string): { tokenizer: Tokenizer; template?: ChatTemplate } {
  const tokenizer = tokenizerOf(file);
  if (!source) return { tokenizer, template: file.chatTemplate };
  const text = (id: number | undefined) => (id === undefined ? undefined : tokenizer.decode([id]));
  const special = { bos: text(tokenizer.bosTokenId), eos: text(tokenizer.eosTokenIds[0]) };
  const template = chatTemplate(source, file.chatTemplate?.tokens ?? special, 'The template');
  return { tokenizer: endingTurns(tokenizer, template), template };
}
