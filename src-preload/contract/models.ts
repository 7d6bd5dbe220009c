import { oc } from '@orpc/contract';
import { z } from 'zod';

/** A model that makes pictures, in figures. */
export const pictureModel = z.object({
  /** which kind of model it is, for people */
  family: z.string(),
  /** of all its parts */
  parameters: z.number(),
  /** of the pictures it learned from: their side, pixels */
  side: z.number(),
});
export type PictureModel = z.infer<typeof pictureModel>;

export const modelShape = z.object({
  architecture: z.string(),
  layers: z.number(),
  hiddenSize: z.number(),
  contextLength: z.number(),
  vocabularySize: z.number(),
  parameters: z.number(),
});

export const modelEntry = z.object({
  id: z.string(),
  name: z.string(),
  /** a path, or a name the trainer resolves (the default model) */
  reference: z.string(),
  origin: z.enum(['default', 'library', 'found', 'catalog']),
  format: z.string(),
  bytes: z.number(),
  licence: z.string().optional(),
  goodAt: z.string().optional(),
  /** which it speaks, as its card says; missing where that says nothing */
  languages: z.string().optional(),
  /** seconds that 100 short examples take to be learned from once, on this machine */
  secondsA100: z.number(),
  /** a run on this machine has measured the speed that these follow from; else they are a guess */
  secondsMeasured: z.boolean(),
  /** where a catalog model comes from */
  source: z.string().optional(),
  /** ready: can be trained now. fetchable: comes by itself when the run starts. missing: the file is gone. */
  state: z.enum(['ready', 'fetchable', 'missing', 'download']),
  /** rough memory that training it needs at the smallest setting, and whether the machine has it */
  needsBytes: z.number(),
  fits: z.enum(['yes', 'tight', 'no']),
  shape: modelShape.optional(),
  hasTokenizer: z.boolean().optional(),
  /** makes pictures, as its files say; else it writes texts */
  makesPictures: z.boolean().optional(),
  /** of such a model, once it was opened */
  pictures: pictureModel.optional(),
  /** takes pictures, as its files say */
  sees: z.boolean().optional(),
  /** what is to be known of it, a sentence each */
  warnings: z.array(z.string()).optional(),
});
export type ModelEntry = z.infer<typeof modelEntry>;

export const models = {
  list: oc.output(z.object({ models: z.array(modelEntry), searched: z.array(z.string()) })),
  /** opens and validates the file or folder, and adds it to the library */
  add: oc.input(z.object({ path: z.string().min(1).max(4096) })).output(modelEntry),
  remove: oc.input(z.object({ id: z.string() })).output(z.object({})),
};
