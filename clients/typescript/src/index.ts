/** Beamway's TypeScript SDK. */
export {
  BeamwayProblem,
  BeamwayUnreachable,
  type CallInput,
  type Client,
  type ClientOptions,
  createClient,
  type ProblemText,
  type Result,
} from './client.ts';
export { ENDPOINTS } from './endpoints.ts';
export type { ReceivedEvent } from './events.ts';
export { openTerminal, type Terminal, type TerminalWish } from './terminal.ts';
