import { z } from 'zod';
import { UserError } from '../../engine/types.ts';
import { read } from './cutters.ts';

/** What a tokenizer puts around a text when asked for its special tokens. */
export interface Around {
  before: number[];
  after: number[];
}

const typed = z.looseObject({ type: z.string() });
const tokenSchema = z.tuple([z.string(), z.number().int().nonnegative()]);
const options = {
  Sequence: z.looseObject({ processors: z.array(z.unknown()) }),
  Pair: z.looseObject({ sep: tokenSchema, cls: tokenSchema }),
  TemplateProcessing: z.looseObject({
    single: z.array(
      z.union([
        z.strictObject({ SpecialToken: z.looseObject({ id: z.string() }) }),
        z.strictObject({ Sequence: z.looseObject({ id: z.enum(['A', 'B']) }) }),
      ]),
    ),
    special_tokens: z.record(z.string(), z.looseObject({ ids: z.array(z.number().int().nonnegative()) })),
  }),
};

/** @throws UserError for a kind that is not known */
export function postProcessor(json: unknown): Around {
  if (json === null || json === undefined) return { before: [], after: [] };
  const parsed = typed.safeParse(json);
  if (!parsed.success) throw new UserError('its post_processor has no type');
  const step = parsed.data;
  switch (step.type) {
    case 'Sequence':
      return read(options.Sequence, step)
        .processors.map(postProcessor)
        .reduce(
          (inner, outer) => ({
            before: [...outer.before, ...inner.before],
            after: [...inner.after, ...outer.after],
          }),
          { before: [], after: [] },
        );
    // It trims spans only: here a token keeps the span of all the text it stands for.
    case 'ByteLevel':
      return { before: [], after: [] };
    case 'BertProcessing':
    case 'RobertaProcessing': {
      const { sep, cls } = read(options.Pair, step);
      return { before: [cls[1]], after: [sep[1]] };
    }
    case 'TemplateProcessing':
      return template(read(options.TemplateProcessing, step));
    default:
      throw new UserError(`its post-processor "${step.type}" is not known`);
  }
}

function template({ single, special_tokens: special }: z.infer<typeof options.TemplateProcessing>): Around {
  const around: Around = { before: [], after: [] };
  let seen = false;
  for (const one of single) {
    if ('Sequence' in one) {
      if (seen || one.Sequence.id === 'B') throw new UserError('its TemplateProcessing does not hold the text once');
      seen = true;
      continue;
    }
    const ids = special[one.SpecialToken.id]?.ids;
    if (!ids) throw new UserError(`its TemplateProcessing does not say which token ${one.SpecialToken.id} is`);
    (seen ? around.after : around.before).push(...ids);
  }
  if (!seen) throw new UserError('its TemplateProcessing does not hold the text once');
  return around;
}
