import type { IncomingMessage } from 'node:http';
import { sameText } from '../studio/same-text.ts';

export interface GuardOptions {
  /** `host:port` values a request may carry in Host; an Origin must be http(s)://<one of them> */
  hosts: string[];
  /** undefined: none is asked for (loopback only) */
  token?: string;
}

export type Verdict = { ok: true } | { ok: false; status: 401 | 403; message: string };

const COOKIE = 'effilora';

/** The Set-Cookie value that carries the token: out of reach of scripts, never sent along from other sites. */
export function tokenCookie(token: string): string {
  return `${COOKIE}=${token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000`;
}

/**
 * Judges a request before anything else looks at it. Host stops names that were made to point at this machine (DNS
 * rebinding), Origin stops pages of other sites, the token stops everyone else on the network.
 */
export function judge(request: IncomingMessage, options: GuardOptions): Verdict {
  const { host, origin } = request.headers;
  if (!host || !options.hosts.includes(host.toLowerCase()))
    return refuse(403, `This studio doesn't answer to "${host ?? ''}". Open it at http://${options.hosts[0]}.`);
  if (origin !== undefined && !options.hosts.some((own) => sameOrigin(origin, own)))
    return refuse(403, 'Pages of other sites may not talk to this studio.');
  const asksForChange = request.method !== 'GET' && request.method !== 'HEAD';
  const isSocket = request.headers.upgrade !== undefined;
  if ((asksForChange || isSocket) && origin === undefined)
    return refuse(403, 'Only a page of this studio may talk to it.');
  if (options.token !== undefined && !carries(request, options.token))
    return refuse(401, 'This studio asks for the link with its token, as printed where it was started.');
  return { ok: true };
}

function refuse(status: 401 | 403, message: string): Verdict {
  return { ok: false, status, message };
}

function sameOrigin(origin: string, host: string): boolean {
  return origin === `http://${host}` || origin === `https://${host}`;
}

function carries(request: IncomingMessage, token: string): boolean {
  const fromLink = new URL(request.url ?? '/', 'http://studio').searchParams.get('token');
  const fromCookie = request.headers.cookie
    ?.split(';')
    .map((part) => part.trim().split('='))
    .find(([name]) => name === COOKIE)?.[1];
  return [fromLink, fromCookie].some((given) => given != null && sameText(given, token));
}

/** No script, style, font or connection but the studio's own; no frame may hold it. */
export const SECURITY_HEADERS: Record<string, string> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; img-src 'self' data: blob:; " +
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=(), usb=(), serial=(), hid=()',
};
