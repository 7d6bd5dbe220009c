/** So far around the colour circle from one head to the next: neighbours differ most, and none repeats (the golden angle). */
const DEGREES = 137.508;

/** The ground a head's share or token stands on; each head has its own, in both themes light or dark enough for the text. */
export function headColour(head: number): string {
  // Every second one is paler: hues that lie near each other differ in strength.
  const strength = head % 2 === 0 ? 1 : 0.6;
  return `oklch(var(--head-lightness) calc(var(--head-chroma) * ${strength}) ${Math.round((45 + head * DEGREES) % 360)})`;
}
