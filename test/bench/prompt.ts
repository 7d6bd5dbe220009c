/** What both sides of bench:generation continue: some two hundred tokens. */
export const PROMPT = `${'The library at the end of the street keeps its lamps lit until late in the evening. '.repeat(12)}One night,`;
