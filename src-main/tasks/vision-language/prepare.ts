import fsp from 'node:fs/promises';
import path from 'node:path';
import type { PictureExample, PictureSource } from '../../data/picture-rows.ts';
import { renderExample, tokenizeRendered, type RenderContext, type RenderedText } from '../../data/render.ts';
import { UserError } from '../../engine/types.ts';
import { joined } from '../../models/floats.ts';
import type { ChatMessage } from '../../models/types.ts';
import { decodePicture } from '../../models/vision/pictures/decode.ts';
import type { PictureProcessor } from '../../models/vision/preparation/open.ts';
import type { PreparedPicture } from '../../models/vision/preparation/options.ts';
import { patchRows } from '../../models/vision/preparation/patches.ts';
import { markOf, pictureText } from '../../models/vision/preparation/placeholders.ts';
import { preparePicture } from '../../models/vision/preparation/prepare.ts';
import type { PictureBatch } from '../../models/vision/vision-language.ts';

/** How a model reads conversations with pictures. */
export interface PictureReading extends RenderContext {
  processor: PictureProcessor;
  /** pixels a side of what the tower takes as one */
  patch: number;
  /** longest example in tokens, those of pictures among them */
  sequenceLength: number;
}

/** An example as the model sees it: its text, and what its pictures feed. */
export interface PreparedPictures extends Pick<PictureBatch, 'patches' | 'grids'> {
  row: number;
  inputIds: Int32Array;
  /** as `TokenizedExample` has them: -100 carries no loss, as no picture's token does */
  labels: Int32Array;
}

/** Decodes an example's pictures and tokenizes it with them; a text says why it can't be used. */
export async function preparePictures(
  { pictures, ...example }: PictureExample,
  reading: PictureReading,
): Promise<PreparedPictures | string> {
  const { processor, patch, tokenizer, sequenceLength } = reading;
  try {
    const prepared: PreparedPicture[] = [];
    for (const [i, source] of pictures.entries()) {
      const name = 'path' in source ? path.basename(source.path) : `picture ${i + 1}`;
      prepared.push(preparePicture(await decodePicture(await bytesOf(source, name), name), processor.options, name));
    }
    const rendered = renderExample({ ...example, messages: example.messages.map(inParts) }, reading)!;
    const { ids, carriesLoss } = tokenizeRendered(withPictures(rendered, processor, prepared), tokenizer, false);
    if (ids.length > sequenceLength)
      return `with its pictures it has ${ids.length} tokens, of which ${sequenceLength} are read (training.sequenceLength), and a picture is never cut`;
    const image = tokenizer.encode(processor.placeholder.image, { addSpecialTokens: false });
    return {
      row: example.row,
      inputIds: Int32Array.from(ids),
      labels: Int32Array.from(ids, (id, i) => (carriesLoss[i] && !image.includes(id) ? id : -100)),
      ...fedOf(prepared, processor, patch),
    };
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

async function bytesOf(source: PictureSource, name: string): Promise<Uint8Array> {
  if ('bytes' in source) return source.bytes;
  return fsp.readFile(source.path).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${name} can't be read (${error.code}); is it beside the dataset?`);
  });
}

/** Templates of models with pictures go through the parts of every message. */
const inParts = ({ content, ...message }: ChatMessage): ChatMessage => ({
  ...message,
  content: typeof content === 'string' ? [{ type: 'text', text: content }] : content,
});

/** The text with each picture's tokens where its mark stands, and the spans where they are then. */
function withPictures(
  { text, spans }: RenderedText,
  { placeholder }: PictureProcessor,
  pictures: PreparedPicture[],
): RenderedText {
  const mark = markOf(placeholder);
  const pieces = text.split(mark);
  if (pieces.length - 1 !== pictures.length)
    throw new UserError(
      `the model's chat template writes ${pieces.length - 1} of ${mark} for ${pictures.length} pictures`,
    );
  const written = pictures.map((picture) => pictureText(placeholder, picture));
  const ends = pieces.slice(0, -1).map((_, i) => pieces.slice(0, i + 1).join(mark).length + mark.length);
  const moved = (at: number) =>
    at + ends.reduce((sum, end, i) => sum + (end <= at ? written[i]!.length - mark.length : 0), 0);
  return {
    text: pieces.reduce((done, piece, i) => done + written[i - 1]! + piece),
    spans: spans.map(([from, to]) => [moved(from), moved(to)]),
  };
}

function fedOf(
  pictures: PreparedPicture[],
  { options }: PictureProcessor,
  patch: number,
): Pick<PictureBatch, 'patches' | 'grids'> {
  const { frames, merge } = options.kind === 'grid' ? options : { frames: 1, merge: 1 };
  const layout = { patch, frames, merge };
  const patches = joined(pictures.map((picture) => patchRows(picture, layout, options.normalization)));
  const grids = pictures.flatMap(({ tiles, width, height }) =>
    Array.from({ length: tiles }, () => ({ rows: Math.floor(height / patch), columns: Math.floor(width / patch) })),
  );
  return { patches, grids };
}
