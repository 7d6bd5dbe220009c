import type { IncomingHttpHeaders } from 'node:http';

/**
 * True where no page sent the request, or one of the very server that it reached: under whatever name (the host's, a tunnel's, a
 * reverse proxy's). That a name may be anything is no danger, as a name made to point here (DNS rebinding) has no token.
 */
export function isSameOrigin({ origin, ...headers }: IncomingHttpHeaders): boolean {
  if (origin === undefined) return true;
  const names = [headers.host, headers['x-forwarded-host']].filter((name) => typeof name === 'string');
  return names.some((name) =>
    ['http:', 'https:'].some((scheme) => originOf(`${scheme}//${name}`) === originOf(origin)),
  );
}

function originOf(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined;
  const { origin } = new URL(address);
  return origin === 'null' ? undefined : origin;
}
