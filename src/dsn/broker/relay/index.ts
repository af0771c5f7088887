/** The door of the room `dsn/broker/relay`: the broker-less memory-to-memory engine. */
export { readEndpoint } from './connect-out.ts';
export { openRelay } from './open-relay.ts';
export type {
  Admission,
  AdmissionAttempt,
  ConnectionCounters,
  Relay,
  RelayCounters,
  RelayEvent,
  RelayOptions,
  RelayRole,
} from './options.ts';
