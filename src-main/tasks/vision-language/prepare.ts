import type { WholeTokens } from '../../data/prepare.ts';
import { renderExample, tokenizeRendered, type RenderContext, type RenderedText } from '../../data/render.ts';
import type { Example } from '../../data/types.ts';
import { UserError } from '../../engine/types.ts';
import type { ChatMessage } from '../../models/types.ts';
import type { PictureProcessor } from '../../models/vision/preparation/open.ts';
import type { PreparedPicture } from '../../models/vision/preparation/options.ts';
import { markOf, pictureText } from '../../models/vision/preparation/placeholders.ts';

/** How a model reads conversations with pictures. */
export interface PictureReading extends RenderContext {
  processor: PictureProcessor;
  /** pixels a side of what the tower takes as one */
  patch: number;
  /** longest example in tokens, those of pictures among them */
  sequenceLength: number;
}

/** An example's tokens and those that carry loss, or why it can't be used: no token of a picture carries any, and no picture is cut. */
export function tokensWithPictures(
  example: Example,
  pictures: Omit<PreparedPicture, 'rgb'>[],
  { processor: { placeholder }, sequenceLength, ...context }: PictureReading,
): WholeTokens | string {
  if (example.kind === 'tokens') return 'it is tokens alone, and a model with pictures is trained on texts';
  const { tokenizer } = context;
  try {
    const isChat = example.kind === 'chat';
    const parts = isChat ? { ...example, messages: example.messages.map(inParts) } : example;
    const written = pictures.map((picture) => pictureText(placeholder, picture));
    const rendered = withPictures(renderExample(parts, context)!, markOf(placeholder), written);
    const { ids, carriesLoss } = tokenizeRendered(rendered, tokenizer, !isChat || !context.template);
    if (ids.length > sequenceLength)
      return `with its pictures it has ${ids.length} tokens, of which ${sequenceLength} are read (training.sequenceLength), and a picture is never cut`;
    const image = tokenizer.encode(placeholder.image, { addSpecialTokens: false });
    const places = written.join('').split(placeholder.image).length - 1;
    if (ids.filter((id) => image.includes(id)).length !== places * image.length)
      return `its text holds ${placeholder.image}, which stands for a part of a picture; write it otherwise`;
    const labels = ids.map((id, i) => (carriesLoss[i] && !image.includes(id) ? id : -100));
    return labels.some((label, i) => i > 0 && label >= 0) ? { inputIds: ids, labels, lead: 0 } : 'no token carries loss'; // prettier-ignore
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

/** How many tokens a picture becomes, with those that stand around it. */
export const pictureTokens = (
  picture: Omit<PreparedPicture, 'rgb'>,
  { tokenizer, processor: { placeholder } }: PictureReading,
): number => tokenizer.encode(pictureText(placeholder, picture), { addSpecialTokens: false }).length;

/** Templates of models with pictures go through the parts of every message. */
const inParts = ({ content, ...message }: ChatMessage): ChatMessage => ({
  ...message,
  content: typeof content === 'string' ? [{ type: 'text', text: content }] : content,
});

/** The text with each picture's tokens where its mark stands, and the spans where they are then. */
function withPictures({ text, spans }: RenderedText, mark: string, written: string[]): RenderedText {
  const pieces = text.split(mark);
  if (pieces.length - 1 !== written.length)
    throw new UserError(
      `the model's chat template writes ${pieces.length - 1} of ${mark} for ${written.length} pictures`,
    );
  const ends = pieces.slice(0, -1).map((_, i) => pieces.slice(0, i + 1).join(mark).length + mark.length);
  const moved = (at: number) =>
    at + ends.reduce((sum, end, i) => sum + (end <= at ? written[i]!.length - mark.length : 0), 0);
  return {
    text: pieces.reduce((done, piece, i) => done + written[i - 1]! + piece),
    spans: spans.map(([from, to]) => [moved(from), moved(to)]),
  };
}
