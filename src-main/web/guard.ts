import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { isSameOrigin } from '../studio/same-origin.ts';
import { sameText } from '../studio/same-text.ts';

/** Who may come in: the owner sees the link in the terminal or has it opened, guests get a link of their own. */
export interface Tokens {
  owner: string;
  guest: string;
}

export type Role = keyof Tokens;
export type Verdict = { ok: true; role: Role } | { ok: false; status: 401 | 403; message: string };

/** Both tokens from the one that is kept. */
export function tokensOf(owner: string): Tokens {
  return { owner, guest: createHmac('sha256', owner).update('guest').digest('base64url') };
}

/** Of each studio its own: browsers send a host's cookies to all of its ports. */
export function cookieName({ owner }: Tokens): string {
  return `effilora-${createHash('sha256').update(owner).digest('hex').slice(0, 12)}`;
}

/** The Set-Cookie value that carries a token: out of reach of scripts, never sent along from other sites. */
export function tokenCookie(tokens: Tokens, role: Role): string {
  return `${cookieName(tokens)}=${tokens[role]}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000`;
}

/**
 * Judges a request before anything else looks at it. The token stops everyone else on this machine and on the network, and
 * names that were made to point here (DNS rebinding), as no browser sends its cookie to those; Origin stops pages of other sites.
 */
export function judge({ method, headers, url }: IncomingMessage, tokens: Tokens): Verdict {
  if (!isSameOrigin(headers)) return refuse(403, 'Pages of other sites may not talk to this studio.');
  const asksForChange = method !== 'GET' && method !== 'HEAD';
  const isSocket = headers.upgrade !== undefined;
  if ((asksForChange || isSocket) && headers.origin === undefined)
    return refuse(403, 'Only a page of this studio may talk to it.');
  // Only a page is opened by a link: what pages send carries the cookie.
  const fromLink = asksForChange || isSocket ? undefined : tokenInLink(url);
  const fromCookie = headers.cookie
    ?.split(';')
    .map((part) => part.trim().split('='))
    .find(([name]) => name === cookieName(tokens))?.[1];
  const role = roleOf(fromLink ?? fromCookie, tokens);
  return role
    ? { ok: true, role }
    : refuse(401, 'This studio asks for the link with its token, as printed where it was started.');
}

/** The token of a link; undefined where an address has none. */
export function tokenInLink(url = '/'): string | undefined {
  return new URLSearchParams(url.split('?').slice(1).join('?')).get('token') ?? undefined;
}

function roleOf(given: string | undefined, tokens: Tokens): Role | undefined {
  if (given === undefined) return undefined;
  return (['owner', 'guest'] as const).find((role) => sameText(given, tokens[role]));
}

function refuse(status: 401 | 403, message: string): Verdict {
  return { ok: false, status, message };
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
