import { captionWith } from '../../data/caption-text.ts';
import { randomStream, shuffled } from '../../engine/random.ts';
import type { Place } from '../../models/diffusion/noise/draws.ts';

export { captionWith };

export interface CaptionOptions {
  /** a word that what is learned is to be called by: put before every caption that doesn't have it */
  trigger?: string;
  /** so often a picture is seen without its caption, so that guidance has something to lead away from; 0 to 1 */
  dropout: number;
  /** the caption is a list of tags with commas between, whose order is drawn anew each time but for the first `keep`; undefined: it stays as it is */
  shuffleTags?: { keep: number };
}

/** A caption as it is learned at a place in a training; '' where it is left out. */
export function drawCaption(caption: string, place: Place, options: CaptionOptions): string {
  const random = randomStream(place.seed, `caption.${place.name}`);
  if (random() < options.dropout) return '';
  const { shuffleTags, trigger } = options;
  if (!shuffleTags) return captionWith(caption, options);
  const tags = caption.split(',').map((tag) => tag.trim()).filter(Boolean); // prettier-ignore
  // The trigger stays first, whatever else moves.
  const isTrigger = (tag: string) => tag.toLowerCase() === trigger?.trim().toLowerCase();
  const others = tags.filter((tag) => !isTrigger(tag));
  const moved = [...others.slice(0, shuffleTags.keep), ...shuffled(others.slice(shuffleTags.keep), random)];
  return captionWith([...tags.filter(isTrigger), ...moved].join(', '), options);
}
