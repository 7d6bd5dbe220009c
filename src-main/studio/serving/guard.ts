import type { IncomingMessage } from 'node:http';
import { isSameOrigin } from '../same-origin.ts';
import { sameText } from '../same-text.ts';
import { ApiError } from './request.ts';

/**
 * Judges a request before anything else looks at it. The key stops everyone else on this machine and on the network, and pages under
 * names made to point here (DNS rebinding), which don't know it; Origin stops pages of other sites.
 * @throws ApiError
 */
export function judge({ headers }: IncomingMessage, key: string): void {
  if (!isSameOrigin(headers)) throw new ApiError(403, 'Pages of other sites may not talk to this server');
  const [scheme, given] = (headers.authorization ?? '').split(' ');
  if (scheme?.toLowerCase() !== 'bearer' || !given || !sameText(given, key))
    throw new ApiError(401, 'This server asks for its API key, as shown where it was started', 'invalid_api_key');
}
