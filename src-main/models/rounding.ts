/** To the nearest whole number, a half to the even neighbour, as Python and numpy round. */
export const roundedToEven = (x: number): number => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
