/** The door of the room `dsn`: what runs on a data streaming node. */
export { type Agent, type AgentDeps, agent } from './agent.ts';
export type { Broker, BrokerEvent } from './broker/broker.ts';
export { brokersByEngine } from './broker/brokers-by-engine.ts';
export { rabbitmqBroker } from './broker/rabbitmq-broker.ts';
export { redisBroker } from './broker/redis-broker.ts';
export { relayBroker } from './broker/relay-broker.ts';
export { nodeCertificate } from './certificate/node-certificate.ts';
export { openClaimServer } from './claim-server.ts';
export { leaseFile } from './lease-file.ts';
export { openLink } from './link.ts';
