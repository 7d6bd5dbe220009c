/** A picture as the models' preprocessing takes it. */
export interface Picture {
  /** pixels */
  width: number;
  height: number;
  /** red, green, blue, 0 to 255, row by row: [height, width, 3] */
  rgb: Uint8Array;
}
