/** Stands in for sharp in the kit's bundle, which opens no pictures. */
export default function sharp(): never {
  throw new Error('The kit has nothing that opens pictures');
}
sharp.block = sharp.unblock = sharp.cache = () => {};
