import { eventIterator, oc } from '@orpc/contract';
import { z } from 'zod';
import { EXPORT_FORMS, MOST_COLUMNS } from './choices.ts';
import { painted, painting, seed } from './painting.ts';
import { shownPicture } from './pictures.ts';

const text = z.string().max(100_000);

export const sampling = z.object({
  maxTokens: z.number().int().min(1).max(8_192).default(200),
  /** 0 takes the likeliest token */
  temperature: z.number().min(0).max(5).default(0.7),
  topP: z.number().min(0.01).max(1).default(0.95),
  /** 0 keeps all tokens */
  topK: z.number().int().min(0).max(1_000).default(0),
  seed,
});
export type Sampling = z.infer<typeof sampling>;

/** Pictures of one prompt side by side. */
const MOST_PAINTED = 32;

/** Of a picture in a conversation, and of one message. */
export const MOST_PICTURE_BYTES = 20 << 20;
export const MOST_PICTURES = 8;

/** A picture that the studio keeps for its conversations. */
export const chatPicture = shownPicture.extend({
  /** SHA-256 of its bytes */
  id: z.string().regex(/^[0-9a-f]{64}$/),
  name: z.string().min(1).max(255),
});
export type ChatPicture = z.infer<typeof chatPicture>;

const message = z.object({
  role: z.enum(['system', 'user', 'assistant']),
  content: text,
  /** what a user's message is about; they stand before its text */
  pictures: z
    .array(chatPicture.pick({ id: true, name: true }))
    .max(MOST_PICTURES)
    .optional(),
});
export type PlaygroundMessage = z.infer<typeof message>;

const shownToken = z.object({ text: z.string(), probability: z.number() });
export const generateEvent = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('loading'), what: z.string() }),
  /** the column's adapter is on the model; how long that took */
  z.object({ kind: z.literal('ready'), column: z.number(), milliseconds: z.number() }),
  shownToken.extend({
    kind: z.literal('token'),
    column: z.number(),
    /** text that is whole now */
    piece: z.string(),
    /** the likeliest tokens in its place */
    top: z.array(shownToken),
  }),
  /** seconds: of this column alone */
  z.object({
    kind: z.literal('done'),
    column: z.number(),
    tokens: z.number(),
    seconds: z.number(),
    reason: z.enum(['end', 'length']),
  }),
]);
export type GenerateEvent = z.infer<typeof generateEvent>;

export const paintEvent = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('loading'), what: z.string() }),
  /** steps of the column's picture that are done */
  z.object({ kind: z.literal('step'), column: z.number(), done: z.number(), of: z.number() }),
  /** seconds: of this column alone */
  painted.extend({ kind: z.literal('painted'), column: z.number(), seconds: z.number() }),
]);

/** A conversation as it is kept: every column has its own answers to the same prompts. */
export const conversation = z.object({
  /** base model; the adapters' own where a column has one */
  model: z.string().max(4096),
  columns: z.array(z.object({ adapter: z.string().max(64).nullable(), name: z.string().max(200) })).max(MOST_COLUMNS),
  system: text,
  /** Jinja, instead of the model's own */
  template: text.nullable(),
  sampling,
  turns: z
    .array(
      z.object({
        prompt: text,
        pictures: z.array(chatPicture).max(MOST_PICTURES).optional(),
        answers: z.array(z.object({ text, tokens: z.number(), seconds: z.number() })).max(MOST_COLUMNS),
      }),
    )
    .max(1_000),
});
export type Conversation = z.infer<typeof conversation>;

export const chatEntry = z.object({ id: z.string(), title: z.string(), updatedAt: z.number() });
export type ChatEntry = z.infer<typeof chatEntry>;

const byId = z.object({ id: z.string().min(1).max(64) });
const onModel = z.object({
  /** the base model where no column names an adapter */
  model: z.string().min(1).max(4096),
  template: text.nullable().default(null),
});

export const playground = {
  /** one prompt answered in several columns at once */
  generate: oc
    .input(
      onModel.extend({
        columns: z
          .array(z.object({ adapter: z.string().max(64).nullable(), messages: z.array(message).min(1).max(2_001) }))
          .min(1)
          .max(MOST_COLUMNS),
        sampling,
        /** likeliest tokens given with each */
        alternatives: z.number().int().min(0).max(20).default(5),
      }),
    )
    .output(eventIterator(generateEvent)),
  /** a prompt painted in several columns, all from the same noise; what is missing is as usual for the model */
  paint: oc
    .input(
      onModel.pick({ model: true }).extend({
        columns: z
          .array(
            z
              .object({
                adapter: z.string().max(64).nullable(),
                /** the share of its heads that is left out, the least important first */
                leaveOut: z.number().min(0).max(1).optional(),
                /** the router shares among those that stay */
                renormalize: z.boolean().optional(),
                /** as the plain LoRA that an export writes */
                form: z.enum(EXPORT_FORMS).optional(),
                /** the share of what was learned that acts; default 1 */
                strength: z.number().positive().max(2).optional(),
              })
              .refine(
                ({ form, strength }) => form === undefined || strength === undefined,
                'An export is painted at its whole strength: other programs have a weight of their own for it',
              ),
          )
          .min(1)
          .max(MOST_PAINTED),
        /** paints this one of them alone, from 0; so each can be cancelled on its own, and still all need one base model */
        only: z.number().int().nonnegative().optional(),
        ...painting.shape,
      }),
    )
    .output(eventIterator(paintEvent)),
  /** the chat template's source and what it makes of some messages */
  prompt: oc
    .input(onModel.extend({ adapter: z.string().max(64).nullable(), messages: z.array(message).min(1).max(2_001) }))
    .output(z.object({ source: z.string(), prompt: z.string(), tokens: z.number() })),
  /** whether the model takes pictures, or makes them, as its files say, and what it is called */
  sees: oc
    .input(onModel.pick({ model: true }).extend({ adapter: z.string().max(64).nullable() }))
    .output(z.object({ sees: z.boolean(), makesPictures: z.boolean(), name: z.string() })),
  /** looks at a picture (PNG, JPEG or WebP, in base64) and keeps it to be asked about */
  addPicture: oc
    .input(z.object({ name: z.string().min(1).max(255), data: z.string().max(Math.ceil(MOST_PICTURE_BYTES / 3) * 4) }))
    .output(chatPicture),
  chats: oc.output(z.array(chatEntry)),
  chat: oc.input(byId).output(z.object({ id: z.string(), title: z.string(), conversation })),
  /** a new one without `id` */
  keepChat: oc
    .input(z.object({ id: z.string().max(64).optional(), title: z.string().trim().min(1).max(200), conversation }))
    .output(chatEntry),
  removeChat: oc.input(byId).output(z.object({})),
};
