import type { PictureOptions, PreparedPicture } from '../../models/vision/preparation/options.ts';
import { preparePicture } from '../../models/vision/preparation/prepare.ts';
import type { KeptPicture, PictureStore, Preparation } from '../picture-store.ts';

type Numbers = Omit<PreparedPicture, 'rgb'>;
export type SeenPicture = KeptPicture<Numbers>;
export type SeenPictureStore = PictureStore<Numbers>;

/** How pictures are kept as a tower takes them. */
export const towerPreparation = (options: PictureOptions): Preparation<Numbers> => ({
  options,
  numbers: ['tiles', 'width', 'height', 'rows', 'columns'],
  bytes: ({ tiles, width, height }) => tiles * width * height * 3,
  make: (picture, name) => preparePicture(picture, options, name),
});
