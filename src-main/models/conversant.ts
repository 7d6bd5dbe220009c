import { UserError } from '../engine/types.ts';
import { loadCausalLM, type CausalLM } from './causal-lm.ts';
import { joined } from './floats.ts';
import { chatPrompt, rawPrompt } from './prompt.ts';
import type { SeenPrompt } from './seen-prompt.ts';
import type {
  Adaptation,
  ChatMessage,
  ChatTemplate,
  ContentPart,
  Conversation,
  ModelFile,
  Tokenizer,
} from './types.ts';
import { decodePicture } from './vision/pictures/decode.ts';
import { fedOf, type FedPictures } from './vision/preparation/fed.ts';
import { openPictureProcessor, type PictureProcessor } from './vision/preparation/open.ts';
import type { PreparedPicture } from './vision/preparation/options.ts';
import { markOf, withPictures } from './vision/preparation/placeholders.ts';
import { preparePicture } from './vision/preparation/prepare.ts';
import { VisionLanguageModel } from './vision/vision-language.ts';
import type { HeldFormat } from './weight-format.ts';

/** A model that answers in text: to text alone, or to pictures, too. */
export type Conversant = CausalLM | VisionLanguageModel;

/** Loads a model that answers onto the engine in use. @throws UserError when the file lacks a tensor */
export const loadConversant = (file: ModelFile, format?: HeldFormat): Promise<Conversant> =>
  file.sees ? VisionLanguageModel.load(file, format) : loadCausalLM(file, format);

/** The part of a model that writes. */
export const languageOf = (model: Conversant): CausalLM =>
  model instanceof VisionLanguageModel ? model.language : model;

/** A picture as somebody gives it: its name, for messages, and its file's bytes. */
export interface GivenPicture {
  name: string;
  bytes: Uint8Array;
}

/** What is asked: a conversation, whose last question gets the pictures unless it has places for them, or a text. */
export type Asking = { tokenizer: Tokenizer; template?: ChatTemplate; pictures?: GivenPicture[] } & (
  Conversation | { raw: string }
);

/** A prompt, its tokens, and what the model sees in it. */
export interface AskedPrompt {
  /** with a mark for each picture */
  text: string;
  ids: number[];
  seen?: SeenPrompt;
  /** its pictures, in their order */
  pictures?: SeenPicture[];
}

/** A picture as a model's tower takes it. */
export interface FedPicture {
  /** upright, pixels */
  of: { width: number; height: number };
  /** how it was cut */
  size: Omit<PreparedPicture, 'rgb'>;
  fed: FedPictures;
}

/** Decodes and prepares a picture. @throws UserError for one that can't be read or isn't taken */
export async function feedPicture(
  { name, bytes }: GivenPicture,
  processor: PictureProcessor,
  model: VisionLanguageModel,
): Promise<FedPicture> {
  const picture = await decodePicture(bytes, name);
  const prepared = preparePicture(picture, processor.options, name);
  const of = { width: picture.width, height: picture.height };
  const { rgb, ...size } = prepared;
  void rgb;
  return { of, size, fed: fedOf([prepared], processor, model.vision.config.tower.patchSize) };
}

/** A picture as a model sees it. */
export interface SeenPicture extends Omit<FedPicture, 'fed'> {
  grids: FedPictures['grids'];
  /** [features, hidden] */
  features: Float32Array;
}

/** Looks at a picture. @throws UserError for one that can't be read or isn't taken */
export async function seePicture(
  picture: GivenPicture,
  processor: PictureProcessor,
  model: VisionLanguageModel,
  adaptation?: Adaptation,
): Promise<SeenPicture> {
  const { fed, ...how } = await feedPicture(picture, processor, model);
  return { ...how, grids: fed.grids, features: await model.featuresOf(fed, adaptation) };
}

/** What is said where a model is shown a picture that it can't see. */
export const readsTextAlone = (model: string) => `${model} reads text alone; choose a model that takes pictures`;

/**
 * A prompt as training shows one.
 * @param how.see looks at a picture, or knows it already
 * @param how.adaptation what the answer will be made with: pictures may be seen otherwise with it
 * @throws UserError for pictures that the model doesn't take, or of which there are more or fewer than places for them
 */
export async function askedPrompt(
  file: ModelFile,
  model: Conversant,
  asking: Asking,
  { see = seePicture, adaptation }: { see?: typeof seePicture; adaptation?: Adaptation } = {},
): Promise<AskedPrompt> {
  const { pictures = [] } = asking;
  if (!(model instanceof VisionLanguageModel)) {
    if (pictures.length > 0) throw new UserError(readsTextAlone(file.name));
    return written(asking);
  }
  const processor = await openPictureProcessor(file.sees!.place);
  const mark = markOf(processor.placeholder);
  const text = 'raw' in asking ? rawWith(asking.raw, mark, pictures.length) : written({ ...asking, messages: inParts(asking.messages, pictures.length) }).text; // prettier-ignore
  const seen = [];
  for (const picture of pictures) seen.push(await see(picture, processor, model, adaptation));
  const sizes = seen.map(({ size }) => size);
  const whole = withPictures(text, processor.placeholder, sizes);
  const ids = 'raw' in asking ? rawPrompt(asking.tokenizer, whole).ids : asking.tokenizer.encode(whole);
  const grids = seen.flatMap((one) => one.grids);
  const features = joined(seen.map((one) => one.features));
  return { text, ids, seen: model.promptOf(ids, grids, features), pictures: seen };
}

const written = ({ tokenizer, template, ...asking }: Asking) =>
  'raw' in asking ? rawPrompt(tokenizer, asking.raw) : chatPrompt({ tokenizer, template }, asking);

const rawWith = (text: string, mark: string, pictures: number) => (text.includes(mark) ? text : mark.repeat(pictures) + text); // prettier-ignore

/** Messages in parts, as templates of models with pictures go through them; the last question has the pictures where none has. */
function inParts(messages: ChatMessage[], pictures: number): ChatMessage[] {
  const parts = messages.map(({ content, ...message }) => ({
    ...message,
    content: typeof content === 'string' ? [{ type: 'text', text: content }] : (content ?? []),
  }));
  const hasPlaces = parts.some(({ content }) => content.some(({ type }) => type === 'image'));
  const asked = parts.findLastIndex(({ role }) => role === 'user');
  if (hasPlaces || asked < 0) return parts;
  const places: ContentPart[] = Array.from({ length: pictures }, () => ({ type: 'image' }));
  return parts.map((message, i) => (i === asked ? { ...message, content: [...places, ...message.content] } : message));
}
