import { oc } from '@orpc/contract';
import { z } from 'zod';
import { shownPicture } from './pictures.ts';

const caption = z.string().max(10_000);
const tag = z.string().trim().min(1).max(200);

/** Some of a dataset's pictures with their captions. */
export const captionPage = z.object({
  /** what a picture is called in its folder, its caption, and where it can't be read why */
  pictures: z.array(
    z.object({
      picture: z.string(),
      caption: z.string(),
      shown: shownPicture.optional(),
      problem: z.string().optional(),
    }),
  ),
  matching: z.number(),
  all: z.number(),
  /** pictures without a caption */
  without: z.number(),
  /** what stands between commas in several captions, the most frequent first */
  tags: z.array(z.object({ tag: z.string(), count: z.number() })),
  /** captions lie as text files beside their pictures in this folder; missing: they stand in a table, where they aren't changed */
  folder: z.string().optional(),
  /** changes that can be taken back */
  undoable: z.number(),
});
export type CaptionPage = z.infer<typeof captionPage>;

/** Of one picture its caption; of all pictures a word or a tag before what is there, or one less. */
export const captionChange = z.union([
  z.object({ picture: z.string().min(1).max(4096), caption }),
  z.object({ before: tag }),
  z.object({ without: tag }),
]);
export type CaptionChange = z.infer<typeof captionChange>;

const id = z.string();

export const captionCalls = {
  captions: oc
    .input(
      z.object({
        id,
        search: z.string().max(1_000).default(''),
        /** those alone that have no caption */
        empty: z.boolean().default(false),
        from: z.number().int().min(0).default(0),
        count: z.number().int().min(1).max(60).default(12),
      }),
    )
    .output(captionPage),
  /** writes text files beside the pictures; says how many */
  caption: oc.input(z.object({ id, change: captionChange })).output(z.object({ files: z.number() })),
  undoCaptions: oc.input(z.object({ id })).output(z.object({ undoable: z.number() })),
  /** a folder of the studio's own with copies of the pictures, and their captions beside them */
  ownCaptions: oc.input(z.object({ id })).output(z.object({ id, pictures: z.number(), left: z.array(z.string()) })),
};
