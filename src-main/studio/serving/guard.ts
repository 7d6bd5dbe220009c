import type { IncomingMessage } from 'node:http';
import { sameText } from '../same-text.ts';
import { ApiError } from './request.ts';

/**
 * Judges a request before anything else looks at it: Host stops names made to point at this machine (DNS rebinding), Origin
 * stops pages of other sites, the token stops everyone else on the network.
 * @param hosts `host:port` values a request may carry
 * @param token undefined: none is asked for (loopback only)
 * @throws ApiError
 */
export function judge({ headers }: IncomingMessage, hosts: string[], token: string | undefined): void {
  const { host, origin, authorization } = headers;
  if (!host || !hosts.includes(host.toLowerCase()))
    throw new ApiError(403, `This server doesn't answer to "${host ?? ''}"; its address is http://${hosts[0]}/v1`);
  if (origin !== undefined && !hosts.some((own) => origin === `http://${own}`))
    throw new ApiError(403, 'Pages of other sites may not talk to this server');
  if (token === undefined) return;
  const [scheme, given] = (authorization ?? '').split(' ');
  if (scheme?.toLowerCase() !== 'bearer' || !given || !sameText(given, token))
    throw new ApiError(401, 'This server asks for its token as the API key', 'invalid_api_key');
}
