/**
 * For a door's process, in which the studio lives: what nobody caught is told and survived. Whatever weighs is done in processes
 * of its own and written in transactions, so that one handler's failure leaves nothing half done that the others stand on.
 */
export function stayUp(): void {
  const tell = (error: unknown) => console.error(error);
  process.on('unhandledRejection', tell).on('uncaughtException', tell);
  // A terminal or a pipe that is closed: nobody reads any more what is told.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
}
