import { z } from 'zod';

/** A picture in small. */
export const shownPicture = z.object({
  name: z.string(),
  /** of the picture itself, pixels */
  width: z.number(),
  height: z.number(),
  /** as a data URL: both doors carry that, and no other site can ask for it */
  thumbnail: z.string().startsWith('data:image/webp;base64,').max(200_000),
});
export type ShownPicture = z.infer<typeof shownPicture>;
