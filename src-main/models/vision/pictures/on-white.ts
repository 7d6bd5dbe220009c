/** Red, green, blue and alpha over white, with the rounding of Pillow's alpha_composite. */
export function onWhite(rgba: Uint8Array): Uint8Array {
  const pixels = rgba.length / 4;
  const rgb = new Uint8Array(pixels * 3);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const alpha = rgba[pixel * 4 + 3]!;
    for (let channel = 0; channel < 3; channel++) {
      const sum = 128 * (rgba[pixel * 4 + channel]! * alpha + 255 * (255 - alpha)) + (128 << 7);
      rgb[pixel * 3 + channel] = ((sum >> 8) + sum) >> 15;
    }
  }
  return rgb;
}
