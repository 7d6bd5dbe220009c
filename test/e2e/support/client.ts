import { createORPCClient } from '@orpc/client';
import { RPCLink } from '@orpc/client/websocket';
import type { ContractRouterClient } from '@orpc/contract';
import WebSocket from 'ws';
import type { Contract, RunSummary } from '../../../src-preload/contract/index.ts';
import { COOKIE } from './token.ts';

export type StudioClient = ContractRouterClient<Contract>;

/** The contract over a socket of its own, beside the browser's. */
export async function connectClient(url: string): Promise<{ client: StudioClient; close: () => void }> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/rpc`, {
    headers: { origin: url, cookie: `${COOKIE.name}=${COOKIE.value}` },
  });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const link = new RPCLink({ websocket: socket as unknown as globalThis.WebSocket });
  return { client: createORPCClient(link), close: () => socket.close() };
}

/** Follows a run's stream until `done` says so. */
export async function untilRun(
  client: StudioClient,
  id: string,
  done: (run: RunSummary, lastStep: number) => boolean,
): Promise<void> {
  let step = 0;
  let run: RunSummary | undefined;
  for await (const event of await client.runs.watch({ id })) {
    if (event.kind === 'metrics') step = event.records.at(-1)!.step;
    if (event.kind === 'status') run = event.run;
    if (run && done(run, step)) return;
  }
}
