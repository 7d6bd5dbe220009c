import { createORPCClient, ORPCError } from '@orpc/client';
import type { ClientLink } from '@orpc/client';
import type { ContractRouterClient } from '@orpc/contract';
import { ref } from 'vue';
import type { Contract } from '../src-preload/contract/index.ts';
import { waitedFor } from './waiting.ts';

type Link = ClientLink<Record<never, never>>;

/** Waits between attempts to reach the studio again, milliseconds. */
const RETRY_MS = [200, 500, 1_000, 2_000, 4_000];

export const connection = ref<'connecting' | 'open' | 'lost'>('connecting');

let attempts = 0;
/** rejects when the connection of the moment is lost: calls and streams on it would wait for ever */
let lost: Promise<never> = new Promise(() => {});
let ready: Promise<Link> = connect();

/** One open way to the studio; tried again until it is there. */
async function connect(): Promise<Link> {
  for (;;) {
    try {
      const link = window.effilora ? await overPort() : await overSocket();
      attempts = 0;
      connection.value = 'open';
      return link;
    } catch {
      connection.value = 'lost';
      await pause(RETRY_MS[Math.min(attempts++, RETRY_MS.length - 1)]!);
    }
  }
}

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function overSocket(): Promise<Link> {
  const { RPCLink } = await import('@orpc/client/websocket');
  const url = new URL('rpc', location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  url.hash = '';
  const socket = new WebSocket(url);
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve(), { once: true });
    socket.addEventListener('close', () => reject(new Error('closed')), { once: true });
  });
  lost = new Promise((_, reject) => {
    socket.addEventListener('close', () => {
      connection.value = 'lost';
      ready = connect();
      reject(new Error('The connection to the studio was lost. Try again when it is back.'));
    });
  });
  lost.catch(() => undefined);
  return new RPCLink({ websocket: socket });
}

/** Electron's preload hands over one end of a MessagePort. */
async function overPort(): Promise<Link> {
  const { RPCLink } = await import('@orpc/client/message-port');
  const port = await new Promise<MessagePort>((resolve) => {
    addEventListener('message', function take(event) {
      if (event.source !== window || event.data !== 'effilora:port' || !event.ports[0]) return;
      removeEventListener('message', take);
      resolve(event.ports[0]);
    });
    window.effilora?.requestPort();
  });
  port.start();
  return new RPCLink({ port });
}

const link: Link = {
  call: (path, input, options) =>
    waitedFor(async () => {
      const open = await ready;
      return Promise.race([open.call(path, input, options), lost]);
    }),
};

/** The studio: every call of the contract, whatever carries it. */
export const studio: ContractRouterClient<Contract> = createORPCClient(link);

/**
 * Hands every event of a stream to `take`; `open` is called again after a lost connection, and starts from where `take`
 * got to. Ends with `signal`, or with the studio's own refusal, which is thrown.
 */
export async function follow<T>(
  open: (signal: AbortSignal) => Promise<AsyncIterable<T>>,
  take: (event: T) => void,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const events = (await open(signal))[Symbol.asyncIterator]();
      for (let next = await events.next(); !next.done; next = await Promise.race([events.next(), lost]))
        take(next.value);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ORPCError && error.defined === false && error.code === 'BAD_REQUEST') throw error;
    }
    await pause(300);
  }
}

/** Where the studio keeps what was sent to it: of such a file only the name means something to a person. */
const UPLOADED = /(?:[A-Za-z]:)?[/\\][^"\n]*?[/\\]uploads[/\\][0-9a-f]{8}[/\\]/g;

/** What a person is told of a failure, and what can be copied for someone who helps. */
export function explain(error: unknown): { message: string; detail: string } {
  const message = (error instanceof Error ? error.message : String(error)).replaceAll(UPLOADED, '');
  const detail =
    error instanceof ORPCError && typeof (error.data as { detail?: unknown } | undefined)?.detail === 'string'
      ? (error.data as { detail: string }).detail
      : '';
  return { message, detail };
}

declare global {
  interface Window {
    /** there in Electron only */
    effilora?: {
      requestPort(): void;
      pathOf(file: File): Promise<string>;
      chooseFile(kind: 'model' | 'dataset' | 'adapter' | 'folder'): Promise<string | null>;
    };
  }
}
