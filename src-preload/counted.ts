/** A number of things: "1 head", "3 heads". */
export const counted = (count: number, thing: string): string => `${count} ${thing}${count === 1 ? '' : 's'}`;

/** How often, from about once on: "once", "2.3 times", "12 times". */
export function howOften(times: number): string {
  const rounded = times >= 10 ? Math.round(times) : Number(times.toFixed(1));
  return rounded === 1 ? 'once' : `${rounded} times`;
}
