import os from 'node:os';

/** This machine's IPv4 addresses on its networks, those beyond itself first. */
export function ownAddresses(): string[] {
  return Object.values(os.networkInterfaces())
    .flat()
    .filter((address) => address?.family === 'IPv4')
    .sort((one, other) => Number(one!.internal) - Number(other!.internal))
    .map((address) => address!.address);
}
